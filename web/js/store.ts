/** Adapters and checkpoints on the device, in the origin's private file system. */

import { BadInputError, isQuota, LorbError, QuotaError } from './errors.js';
import { sha256 } from './download.js';
import type { FileData } from './types.js';

type Slot = 'a' | 'b';

/** What makes a slot whole; written after all its files. */
interface Manifest {
  /** Grows with every writing. */
  sequence: number;
  files: { name: string; size: number; sha256: string }[];
}

/**
 * A folder of entries, each a handful of files under a name.
 *
 * An entry has two slots. Writing takes the one that is older: its manifest is removed, its files are written, its new manifest comes
 * last. A writing torn at any point leaves the other slot readable, and reading checks every file by size and SHA-256.
 */
export class AdapterStore {
  #root: FileSystemDirectoryHandle;

  private constructor(root: FileSystemDirectoryHandle) {
    this.#root = root;
  }

  /** Opens the store of that name; `root` stands in for the origin's private file system. */
  static async open(name = 'lorb', root?: FileSystemDirectoryHandle): Promise<AdapterStore> {
    const storage = root ?? (await privateFiles());
    return new AdapterStore(await storage.getDirectoryHandle(encode(name), { create: true }));
  }

  /** Writes an entry, in place of one of that name. Throws `QuotaError` where there is no room; what was there stays. */
  async save(key: string, files: Record<string, FileData>): Promise<void> {
    if (Object.keys(files).length === 0) throw new BadInputError(`${key}: no files to save`);
    const entry = await this.#root.getDirectoryHandle(encode(key), { create: true });
    const [a, b] = [await manifest(entry, 'a'), await manifest(entry, 'b')];
    const slot: Slot = (a?.sequence ?? 0) <= (b?.sequence ?? 0) ? 'a' : 'b';
    const sequence = Math.max(a?.sequence ?? 0, b?.sequence ?? 0) + 1;
    try {
      await remove(entry, manifestName(slot));
      // With the folder goes whatever an earlier version had more.
      await remove(entry, slot);
      const folder = await entry.getDirectoryHandle(slot, { create: true });
      const written: Manifest = { sequence, files: [] };
      for (const [name, data] of Object.entries(files)) {
        const bytes = new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data instanceof ArrayBuffer ? data : data.slice());
        await write(folder, encode(name), bytes);
        written.files.push({ name, size: bytes.byteLength, sha256: await sha256(bytes.buffer) });
      }
      await write(entry, manifestName(slot), new TextEncoder().encode(JSON.stringify(written)));
    } catch (error) {
      if (!isQuota(error)) throw error;
      throw new QuotaError(`${key}: there is no room left on this device for this page's files`, { cause: error });
    }
  }

  /** The newest whole version of an entry; `undefined` where there is none. */
  async load(key: string): Promise<Record<string, Blob> | undefined> {
    const entry = await this.#root.getDirectoryHandle(encode(key)).catch(absent);
    if (!entry) return undefined;
    const slots = await Promise.all((['a', 'b'] as const).map(async (slot) => ({ slot, found: await manifest(entry, slot) })));
    slots.sort((one, other) => (other.found?.sequence ?? 0) - (one.found?.sequence ?? 0));
    for (const { slot, found } of slots) {
      const files = found && (await read(entry, slot, found));
      if (files) return files;
    }
    return undefined;
  }

  /** Names of the entries that can be loaded. */
  async list(): Promise<string[]> {
    const names: string[] = [];
    for await (const name of (this.#root as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(decodeURIComponent(name));
    const loadable = await Promise.all(names.map(async (name) => (await this.load(name)) !== undefined));
    return names.filter((_, at) => loadable[at]).sort();
  }

  async delete(key: string): Promise<void> {
    await remove(this.#root, encode(key));
  }
}

async function privateFiles(): Promise<FileSystemDirectoryHandle> {
  if (typeof navigator === 'undefined' || !navigator.storage?.getDirectory) {
    throw new LorbError('this page has no private file system: it needs https (or localhost) and a browser that offers it');
  }
  return navigator.storage.getDirectory();
}

/** A file's name may not hold a slash, nor be one of the two names for folders. */
function encode(name: string): string {
  if (name === '') throw new BadInputError('a name is needed');
  return encodeURIComponent(name).replace(/^\.+$/, (dots) => dots.replaceAll('.', '%2E'));
}

async function write(folder: FileSystemDirectoryHandle, name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const handle = await folder.getFileHandle(name, { create: true });
  const stream = await handle.createWritable();
  try {
    await stream.write(bytes);
    await stream.close();
  } catch (error) {
    await stream.abort().catch(() => {});
    throw error;
  }
}

/** Beside the slot's folder, so that no file within can have its name. */
function manifestName(slot: Slot): string {
  return `${slot}.json`;
}

async function manifest(entry: FileSystemDirectoryHandle, slot: Slot): Promise<Manifest | undefined> {
  try {
    const file = await (await entry.getFileHandle(manifestName(slot))).getFile();
    const found = JSON.parse(await file.text()) as Manifest;
    return Number.isInteger(found.sequence) && Array.isArray(found.files) ? found : undefined;
  } catch (error) {
    // No manifest, or half of one: this slot was never finished.
    if (error instanceof SyntaxError || isAbsent(error)) return undefined;
    throw error;
  }
}

async function read(entry: FileSystemDirectoryHandle, slot: Slot, { files }: Manifest): Promise<Record<string, Blob> | undefined> {
  const folder = await entry.getDirectoryHandle(slot).catch(absent);
  const loaded: Record<string, Blob> = {};
  for (const { name, size, sha256: expected } of files) {
    const handle = await folder?.getFileHandle(encode(name)).catch(absent);
    const bytes = await (await handle?.getFile())?.arrayBuffer();
    if (bytes?.byteLength !== size || (await sha256(bytes)) !== expected) return undefined;
    // A copy: a file of this system changes when its slot is written again.
    loaded[name] = new Blob([bytes]);
  }
  return loaded;
}

async function remove(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  await folder.removeEntry(name, { recursive: true }).catch(absent);
}

function isAbsent(error: unknown): boolean {
  return (error as { name?: unknown } | null)?.name === 'NotFoundError';
}

function absent(error: unknown): undefined {
  if (!isAbsent(error)) throw error;
}
