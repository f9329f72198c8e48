/** Loads a base into the worker, part by part. */

import { browserCache, existingCache, LayeredCache } from './cache.js';
import { collect, collectIfAny, Download, PART_BYTES, type DownloadContext, type Remote, type Sink } from './download.js';
import type { Engine } from './engine.js';
import { IntegrityError, isElsewhere, SourceError, throwIfAborted, UnsupportedModelError } from './errors.js';
import { FileSet } from './fileset.js';
import type { AdapterBytes, Result } from './protocol.js';
import { keptBytes, Parts } from './parts.js';
import { sha256 } from './sha256.js';
import { openFolder, type Folder } from './source.js';
import type { Dtype, LoadOptions, ProgressCallback, Source, Stored } from './types.js';

const WEIGHTS = 'model.safetensors';
/** The weights are last: a set without its last file is incomplete. */
const BASE_FILES = ['config.json', 'tokenizer.json', 'vocab.txt', 'tokenizer_config.json', WEIGHTS];
const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors'];

/** Everything needed to load the same files again. */
export interface Origin {
  folder: Folder;
  options: LoadOptions;
  emit: ProgressCallback;
  /** Whether to use what is stored without asking the server for changes. */
  trusted?: boolean;
}

export function origin(source: Source, options: LoadOptions & { baseName?: string }): Origin {
  const folder = openFolder(source, options);
  return { folder: { ...folder, id: options.baseName ?? folder.id }, options, emit: options.progress_callback ?? (() => {}) };
}

/** The files of a folder on a server or a hub. */
async function fileSet({ folder: { name, locate }, options, emit }: Origin, files: readonly string[]): Promise<FileSet> {
  const { cache, signal, local_files_only: localOnly = false } = options;
  const fallback = (reason: string) => emit({ status: 'cache', name, file: files.at(-1)!, fallback: 'memory', reason });
  const below = cache === undefined ? await browserCache() : cache;
  const layered = below === null ? null : new LayeredCache(below, fallback);
  const remotes = files.map(locate).filter((place): place is Remote => place !== undefined && !(place instanceof Blob));
  return new FileSet(remotes, { name, cache: layered, emit, signal, localOnly, seen: new Map(), fetched: new Set() });
}

/** How much of a base's weights needs no download. Sends no request. */
export async function storedWeights(source: Source, options: LoadOptions): Promise<Stored> {
  const weights = openFolder(source, options).locate(WEIGHTS);
  if (!weights) return { bytes: 0, whole: false };
  if (weights instanceof Blob) return { bytes: weights.size, whole: true };
  const below = options.cache === undefined ? await existingCache() : options.cache;
  if (!below) return { bytes: 0, whole: false };
  const kept = await new Parts(new LayeredCache(below, () => {}), weights.url).read();
  if (!kept || kept.missing) return { bytes: 0, whole: false };
  const bytes = keptBytes(kept);
  return { bytes, whole: bytes === kept.size };
}

/** Loads a base into the worker. */
export async function loadBase(origin: Origin, dtype: Dtype, engine: Engine): Promise<Result<'base.finish'>> {
  const { folder, options, trusted } = origin;
  const { signal, refresh } = options;
  const set = await fileSet(origin, BASE_FILES);
  const weights = folder.locate(WEIGHTS);
  if (!weights) throw noWeights(folder.name);
  let download: Download | undefined;
  /** Whether the worker accepted the small files. */
  let begun = false;
  try {
    await set.read(async () => {
      const config = await read(folder, 'config.json', set.context, false);
      if (!config) throw new UnsupportedModelError(`${folder.name} has no config.json`);
      const tokenizer = await readTokenizer(folder, set.context);
      const sink: Sink = {
        begin: async (total) => {
          begun = false;
          await engine.call('base.begin', { config, ...tokenizer, dtype, total }, { signal });
          begun = true;
        },
        write: (chunk) => engine.call('base.push', { chunk }, { signal, transfer: [chunk.buffer] }),
      };
      if (weights instanceof Blob) return writeBlob(weights, sink, origin);
      download = new Download(weights, set.context);
      return download.run(sink);
    }, { refresh, trusted });
    const loaded = await engine.call('base.finish', { name: folder.id }, { signal });
    if (download) await download.confirm(loaded.fileHash);
    else confirmBlob(loaded.fileHash, origin);
    return loaded;
  } catch (error) {
    throwIfAborted(signal);
    const cause = await explain(error, folder.name, begun ? download : undefined);
    await set.failed(cause);
    throw cause;
  }
}

async function explain(error: unknown, name: string, download: Download | undefined): Promise<unknown> {
  if (error instanceof SourceError && error.status === 404) return noWeights(name, error);
  if (isElsewhere(error) || !download) return error;
  // Either the hash check found the damage, or the worker found it without knowing where the file came from.
  if (error instanceof IntegrityError && error.expected !== '') return error;
  return download.explain(error);
}

async function writeBlob(blob: Blob, sink: Sink, { folder: { name }, options: { signal }, emit }: Origin): Promise<void> {
  const file = WEIGHTS;
  emit({ status: 'initiate', name, file });
  await sink.begin(blob.size);
  for (let at = 0; at < blob.size; at += PART_BYTES) {
    throwIfAborted(signal);
    await sink.write(new Uint8Array(await blob.slice(at, at + PART_BYTES).arrayBuffer()));
    const loaded = Math.min(at + PART_BYTES, blob.size);
    emit({ status: 'progress', name, file, progress: (100 * loaded) / blob.size, loaded, total: blob.size });
  }
}

function confirmBlob(hash: string, { folder: { name }, options, emit }: Origin): void {
  checkHash(WEIGHTS, options, hash);
  emit({ status: 'done', name, file: WEIGHTS, from: 'files', verified: options.sha256?.[WEIGHTS] !== undefined });
}

function checkHash(file: string, { sha256 }: LoadOptions, actual: string): void {
  const expected = sha256?.[file]?.toLowerCase();
  if (expected !== undefined && expected !== actual) throw new IntegrityError(file, expected, actual);
}

function noWeights(name: string, cause?: unknown): UnsupportedModelError {
  const message = `${name} has no ${WEIGHTS}; convert other formats with Transformers' save_pretrained`;
  return new UnsupportedModelError(message, { cause });
}

async function read(folder: Folder, file: string, within: DownloadContext, optional = true): Promise<Uint8Array | undefined> {
  const place = folder.locate(file);
  if (place instanceof Blob) return new Uint8Array(await place.arrayBuffer());
  return place && collectIfAny(place, within, optional);
}

/** `tokenizer.json`, else `vocab.txt` with the settings from `tokenizer_config.json`. */
async function readTokenizer(folder: Folder, within: DownloadContext): Promise<{ tokenizer: Uint8Array; isVocab: boolean; lowercase: boolean }> {
  const json = await read(folder, 'tokenizer.json', within);
  if (json) return { tokenizer: json, isVocab: false, lowercase: true };
  const vocab = await read(folder, 'vocab.txt', within, false);
  if (!vocab) throw new UnsupportedModelError(`${folder.name} has neither tokenizer.json nor vocab.txt`);
  const settings = await read(folder, 'tokenizer_config.json', within);
  return { tokenizer: vocab, isVocab: true, lowercase: lowercase(settings) };
}

/** True by default, as in Transformers. */
function lowercase(settings: Uint8Array | undefined): boolean {
  if (!settings) return true;
  let said: unknown;
  try {
    said = (JSON.parse(new TextDecoder().decode(settings)) as Record<string, unknown>)['do_lower_case'];
  } catch (error) {
    throw new UnsupportedModelError(`tokenizer_config.json is not a JSON object (${(error as Error).message})`);
  }
  if (said !== undefined && typeof said !== 'boolean') {
    throw new UnsupportedModelError(`tokenizer_config.json: do_lower_case is ${JSON.stringify(said)}; expected true or false`);
  }
  return said ?? true;
}

/** The two files of an adapter, and what to call if the worker rejects them. */
export async function loadAdapterFiles(origin: Origin): Promise<{ files: AdapterBytes; failed: (error: unknown) => Promise<void> }> {
  const { folder, options } = origin;
  const set = await fileSet(origin, ADAPTER_FILES);
  const get = async (file: string): Promise<Uint8Array> => {
    const place = folder.locate(file);
    if (!place) throw new SourceError(folder.name, `${file} is missing`, 404);
    if (!(place instanceof Blob)) return collect(place, set.context);
    const buffer = await place.arrayBuffer();
    if (options.sha256?.[file]) checkHash(file, options, await sha256(buffer));
    return new Uint8Array(buffer);
  };
  const read = async () => ({ config: await get(ADAPTER_FILES[0]!), weights: await get(ADAPTER_FILES[1]!) });
  const failed = (error: unknown) => set.failed(error);
  try {
    return { files: await set.read(read, options), failed };
  } catch (error) {
    await failed(error);
    throw error;
  }
}
