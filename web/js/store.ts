/** Adapters and checkpoints on the device, in the origin private file system. */

import { Engine, type WorkerFactory } from './engine.js';
import { BadInputError, isQuota, QuotaError } from './errors.js';
import { missing } from './features.js';
import { sha256 } from './sha256.js';
import type { FileData } from './types.js';

type Slot = 'a' | 'b';

/** Marks a slot as complete; written after all its files. */
interface Manifest {
  /** Increases with every write. */
  sequence: number;
  files: { name: string; size: number; sha256: string }[];
}

/**
 * A folder of entries, each with a few named files.
 *
 * An entry has two slots. A write replaces the older one: it removes the manifest, writes the
 * files, and writes the new manifest last. An interrupted write leaves the other slot intact.
 * Reading checks the size and SHA-256 of every file.
 */
export class AdapterStore {
  #root: FileSystemDirectoryHandle;

  /** Starts a worker that writes; `undefined` if the page can write. */
  #writer: (() => Engine) | undefined;

  private constructor(root: FileSystemDirectoryHandle, writer: (() => Engine) | undefined) {
    this.#root = root;
    this.#writer = writer;
  }

  /**
   * Opens the store with this name; `root` replaces the origin private file system. Throws `MissingFeatureError` if the page
   * has none. Where only workers can write to it (Safari before 26), the package's worker does, or `worker`.
   */
  static async open(name = 'lorb', root?: FileSystemDirectoryHandle, { worker }: { worker?: () => Worker } = {}): Promise<AdapterStore> {
    const storage = root ?? (await privateFiles());
    const writer = root || 'createWritable' in (globalThis.FileSystemFileHandle?.prototype ?? {}) ? undefined : () => new Engine(worker as WorkerFactory | undefined);
    const engine = writer?.();
    try {
      await engine?.call('file.check', {});
    } finally {
      engine?.terminate();
    }
    return new AdapterStore(await storage.getDirectoryHandle(encode(name), { create: true }), writer);
  }

  /** Writes or replaces an entry. Throws `QuotaError` if there is no space; the previous version stays intact. */
  async save(key: string, files: Record<string, FileData>): Promise<void> {
    if (Object.keys(files).length === 0) throw new BadInputError(`${key}: no files to save`);
    const entry = await this.#root.getDirectoryHandle(encode(key), { create: true });
    const [a, b] = [await manifest(entry, 'a'), await manifest(entry, 'b')];
    const slot: Slot = (a?.sequence ?? 0) <= (b?.sequence ?? 0) ? 'a' : 'b';
    const sequence = Math.max(a?.sequence ?? 0, b?.sequence ?? 0) + 1;
    const engine = this.#writer?.();
    const put = (path: string[], folder: FileSystemDirectoryHandle, bytes: Uint8Array<ArrayBuffer>) =>
      engine ? engine.call('file.write', { path: [this.#root.name, entry.name, ...path], bytes }) : write(folder, path.at(-1)!, bytes);
    try {
      await remove(entry, manifestName(slot));
      // Removing the folder also removes files that only the earlier version had.
      await remove(entry, slot);
      const folder = await entry.getDirectoryHandle(slot, { create: true });
      const written: Manifest = { sequence, files: [] };
      for (const [name, data] of Object.entries(files)) {
        const bytes = new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data instanceof ArrayBuffer ? data : data.slice());
        await put([slot, encode(name)], folder, bytes);
        written.files.push({ name, size: bytes.byteLength, sha256: await sha256(bytes.buffer) });
      }
      await put([manifestName(slot)], entry, new TextEncoder().encode(JSON.stringify(written)));
    } catch (error) {
      if (!isQuota(error)) throw error;
      throw new QuotaError(`${key}: no storage space left for this page on this device`, { cause: error });
    } finally {
      engine?.terminate();
    }
  }

  /** The newest complete version of an entry, or `undefined`. */
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
  const remedy = 'use https or localhost, a browser that supports it, and no private window';
  if (typeof navigator === 'undefined' || !navigator.storage?.getDirectory) throw missing('the private file system', remedy);
  try {
    return await navigator.storage.getDirectory();
  } catch (error) {
    throw missing('the private file system', `${remedy} (${(error as Error).message})`, error);
  }
}

/** A file name must not contain a slash or be `.` or `..`. */
function encode(name: string): string {
  if (name === '') throw new BadInputError('the name is empty');
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

/** Next to the slot's folder, so that no file in the folder can have this name. */
function manifestName(slot: Slot): string {
  return `${slot}.json`;
}

async function manifest(entry: FileSystemDirectoryHandle, slot: Slot): Promise<Manifest | undefined> {
  try {
    const file = await (await entry.getFileHandle(manifestName(slot))).getFile();
    const found = JSON.parse(await file.text()) as Manifest;
    return Number.isInteger(found.sequence) && Array.isArray(found.files) ? found : undefined;
  } catch (error) {
    // A missing or incomplete manifest: this slot was never finished.
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
    // Copy it, because a file in this file system changes when its slot is written again.
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
