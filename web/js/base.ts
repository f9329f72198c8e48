/** Loads a base into the worker, part by part. */

import { browserCache, existingCache, LayeredCache } from './cache.js';
import { collect, collectOptional, Download, PART_BYTES, sha256, type DownloadContext, type Remote, type Sink } from './download.js';
import type { Engine } from './engine.js';
import { IntegrityError, isLoss, SourceError, throwIfAborted, UnsupportedModelError } from './errors.js';
import type { Result } from './protocol.js';
import { keptBytes, Parts } from './parts.js';
import { openFolder, type Folder } from './source.js';
import type { Dtype, LoadOptions, ProgressCallback, Source, Stored } from './types.js';

const WEIGHTS = 'model.safetensors';

/** Everything needed to load the same files again. */
export interface Origin {
  folder: Folder;
  options: LoadOptions;
  emit: ProgressCallback;
}

export function origin(source: Source, options: LoadOptions & { baseName?: string }): Origin {
  const folder = openFolder(source, options);
  return { folder: { ...folder, id: options.baseName ?? folder.id }, options, emit: options.progress_callback ?? (() => {}) };
}

async function context({ folder: { name }, options, emit }: Origin): Promise<DownloadContext> {
  const { cache, signal, local_files_only: localOnly = false } = options;
  const fallback = (file: string) => (reason: string) => emit({ status: 'cache', name, file, fallback: 'memory', reason });
  const below = cache === undefined ? await browserCache() : cache;
  return { name, cache: below === null ? null : new LayeredCache(below, fallback(WEIGHTS)), emit, signal, localOnly };
}

/** How much of a base's weights needs no download. Sends no request. */
export async function storedWeights(source: Source, options: LoadOptions): Promise<Stored> {
  const weights = openFolder(source, options).locate(WEIGHTS);
  if (!weights) return { bytes: 0, whole: false };
  if (weights instanceof Blob) return { bytes: weights.size, whole: true };
  const below = options.cache === undefined ? await existingCache() : options.cache;
  if (below === null) return { bytes: 0, whole: false };
  const kept = await new Parts(new LayeredCache(below, () => {}), weights.url).read();
  if (!kept || kept.missing) return { bytes: 0, whole: false };
  const bytes = keptBytes(kept);
  return { bytes, whole: bytes === kept.size };
}

/** Loads a base into the worker. */
export async function loadBase(origin: Origin, dtype: Dtype, engine: Engine): Promise<Result<'base.finish'>> {
  const { folder, options } = origin;
  const { signal } = options;
  const within = await context(origin);
  const config = await read(folder, 'config.json', within);
  if (!config) throw new UnsupportedModelError(`${folder.name} has no config.json`);
  const tokenizer = await readTokenizer(folder, within);
  const weights = folder.locate(WEIGHTS);
  if (!weights) throw noWeights(folder.name);
  const sink: Sink = {
    begin: (total) => engine.call('base.begin', { config, ...tokenizer, dtype, total }, { signal }),
    write: (chunk) => engine.call('base.push', { chunk }, { signal, transfer: [chunk.buffer] }),
  };
  if (weights instanceof Blob) return loadBlob(weights, sink, origin, engine);

  const download = new Download(weights, within);
  try {
    await download.run(sink);
    const loaded = await engine.call('base.finish', { name: folder.id }, { signal });
    await download.confirm(loaded.fileHash);
    return loaded;
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof SourceError && error.status === 404) throw noWeights(folder.name, error);
    if (error instanceof SourceError || isLoss(error)) throw error;
    // Either the hash check found the damage, or the worker found it without knowing where the file came from.
    if (error instanceof IntegrityError && error.expected !== '') throw error;
    throw await download.explain(error);
  }
}

async function loadBlob(blob: Blob, sink: Sink, { folder: { name, id }, options, emit }: Origin, engine: Engine): Promise<Result<'base.finish'>> {
  const { signal } = options;
  const file = WEIGHTS;
  emit({ status: 'initiate', name, file });
  await sink.begin(blob.size);
  for (let at = 0; at < blob.size; at += PART_BYTES) {
    throwIfAborted(signal);
    await sink.write(new Uint8Array(await blob.slice(at, at + PART_BYTES).arrayBuffer()));
    const loaded = Math.min(at + PART_BYTES, blob.size);
    emit({ status: 'progress', name, file, progress: (100 * loaded) / blob.size, loaded, total: blob.size });
  }
  const loaded = await engine.call('base.finish', { name: id }, { signal });
  checkHash(file, options, loaded.fileHash);
  emit({ status: 'done', name, file, from: 'files', verified: options.sha256?.[file] !== undefined });
  return loaded;
}

function checkHash(file: string, { sha256 }: LoadOptions, actual: string): void {
  const expected = sha256?.[file]?.toLowerCase();
  if (expected !== undefined && expected !== actual) throw new IntegrityError(file, expected, actual);
}

function noWeights(name: string, cause?: unknown): UnsupportedModelError {
  const message = `${name} has no ${WEIGHTS}; convert other formats with Transformers' save_pretrained`;
  return new UnsupportedModelError(message, { cause });
}

async function read(folder: Folder, file: string, within: DownloadContext): Promise<Uint8Array | undefined> {
  const place = folder.locate(file);
  if (place instanceof Blob) return new Uint8Array(await place.arrayBuffer());
  return place && collectOptional(place, within);
}

/** `tokenizer.json`, else `vocab.txt` with the settings from `tokenizer_config.json`. */
async function readTokenizer(folder: Folder, within: DownloadContext): Promise<{ tokenizer: Uint8Array; isVocab: boolean; lowercase: boolean }> {
  const json = await read(folder, 'tokenizer.json', within);
  if (json) return { tokenizer: json, isVocab: false, lowercase: true };
  const vocab = await read(folder, 'vocab.txt', within);
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

/** The two files of an adapter. */
export async function loadAdapterFiles(origin: Origin): Promise<{ config: Uint8Array; weights: Uint8Array }> {
  const { folder, options } = origin;
  const within = await context(origin);
  const get = async (file: string): Promise<Uint8Array> => {
    const place: Blob | Remote | undefined = folder.locate(file);
    if (!place) throw new SourceError(folder.name, `${file} is missing`, 404);
    if (!(place instanceof Blob)) return collect(place, within);
    const buffer = await place.arrayBuffer();
    if (options.sha256?.[file]) checkHash(file, options, await sha256(buffer));
    return new Uint8Array(buffer);
  };
  return { config: await get('adapter_config.json'), weights: await get('adapter_model.safetensors') };
}
