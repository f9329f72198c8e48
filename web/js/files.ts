/** Writes to the origin private file system from the worker, for browsers where a page cannot. */

import { missing } from './features.js';
import { QuotaError } from './errors.js';

/** The part of `FileSystemSyncAccessHandle` that is used; in older browsers, some methods return promises. */
interface Access {
  truncate(size: number): unknown;
  write(bytes: Uint8Array, options: { at: number }): number | Promise<number>;
  flush(): unknown;
  close(): unknown;
}

type Handle = FileSystemFileHandle & { createSyncAccessHandle(): Promise<Access> };

export function checkFiles(): void {
  if ('createSyncAccessHandle' in (globalThis.FileSystemFileHandle?.prototype ?? {})) return;
  throw missing('FileSystemFileHandle.createWritable', 'update the browser, or offer the files of `saveAdapter` as a download');
}

/** `path` is the names of the folders, which exist, and of the file. */
export async function writeFile(path: string[], bytes: Uint8Array): Promise<void> {
  let folder = await navigator.storage.getDirectory();
  for (const name of path.slice(0, -1)) folder = await folder.getDirectoryHandle(name);
  const handle = (await folder.getFileHandle(path.at(-1)!, { create: true })) as Handle;
  const access = await handle.createSyncAccessHandle();
  try {
    await access.truncate(0);
    for (let at = 0; at < bytes.length; ) {
      const written = await access.write(bytes.subarray(at), { at });
      if (!(written > 0)) throw new QuotaError('the file system stored nothing');
      at += written;
    }
    await access.flush();
  } finally {
    await access.close();
  }
}
