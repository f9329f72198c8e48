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
import type { Dtype, LoadOptions, ProgressCallback, Source, Stored, StoredFile } from './types.js';

const WEIGHTS = 'model.safetensors';
/** Names the files of weights that are several. */
const INDEX = 'model.safetensors.index.json';
/** Settings next to a tokenizer's vocabulary; a base may lack any of them. */
const SETTINGS = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'];
/** The files of a vocabulary, by kind; the first kind whose first file a base has is read. */
const VOCABULARIES = [['tokenizer.json'], ['vocab.txt'], ['vocab.json', 'merges.txt'], ['sentencepiece.bpe.model']];
/** The weights are last: a set without its last file is incomplete. */
const BASE_FILES = ['config.json', ...VOCABULARIES.flat(), ...SETTINGS, INDEX, WEIGHTS];
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
  const tell = options.progressCallback ?? (() => {});
  const files: Record<string, { loaded: number; total: number }> = {};
  const emit: ProgressCallback = (event) => {
    tell(event);
    if (event.status !== 'progress') return;
    const { name, file, loaded, total } = event;
    files[file] = { loaded, total };
    // The small files come first; their sum says nothing of the whole.
    if (!file.endsWith('.safetensors')) return;
    const sum = (key: 'loaded' | 'total') => Object.values(files).reduce((sum, file) => sum + file[key], 0);
    tell({ status: 'progress_total', name, progress: (100 * sum('loaded')) / sum('total'), loaded: sum('loaded'), total: sum('total'), files: { ...files } });
  };
  return { folder: { ...folder, id: options.baseName ?? folder.id }, options, emit };
}

/** The files of a folder on a server or a hub. */
async function fileSet({ folder: { name, locate }, options, emit }: Origin, files: readonly string[]): Promise<FileSet> {
  const { cache, signal, localFilesOnly: localOnly = false } = options;
  const fallback = (reason: string) => emit({ status: 'cache', name, file: files.at(-1)!, fallback: 'memory', reason });
  const below = cache === undefined ? await browserCache() : cache;
  const layered = below === null ? null : new LayeredCache(below, fallback);
  const remotes = files.map(locate).filter((place): place is Remote => place !== undefined && !(place instanceof Blob));
  return new FileSet(remotes, { name, cache: layered, emit, signal, localOnly, seen: new Map(), fetched: new Set() });
}

/** What is stored of a base or an adapter: its small files, and its weights. Sends no request. */
async function inventory(source: Source, options: LoadOptions): Promise<{ small: StoredFile[]; weights: StoredFile[] }> {
  const { locate } = openFolder(source, options);
  const below = options.cache === undefined ? await existingCache() : options.cache;
  const cache = below ? new LayeredCache(below, () => {}) : null;
  const all = (files: readonly string[]) => Promise.all(files.map((file) => storedFile(file, locate(file), cache)));
  const whole = await all([WEIGHTS]);
  const weights = whole[0]!.bytes > 0 ? whole : await all(await storedShards(locate(INDEX), cache));
  return { small: await all([...BASE_FILES.slice(0, -1), ...ADAPTER_FILES]), weights };
}

/** How much of a file needs no download. */
async function storedFile(file: string, place: ReturnType<Folder['locate']>, cache: LayeredCache | null): Promise<StoredFile> {
  if (place instanceof Blob) return { file, bytes: place.size, whole: true };
  const kept = place && (await new Parts(cache, place.url).read());
  const bytes = kept ? keptBytes(kept) : 0;
  return { file, bytes, whole: bytes > 0 && bytes === kept!.size };
}

const isWhole = (files: StoredFile[]) => files.length > 0 && files.every(({ whole }) => whole);

export async function storedWeights(source: Source, options: LoadOptions): Promise<Stored> {
  const { weights } = await inventory(source, options);
  return { bytes: weights.reduce((sum, { bytes }) => sum + bytes, 0), whole: isWhole(weights) };
}

export async function storedFiles(source: Source, options: LoadOptions): Promise<StoredFile[]> {
  const { small, weights } = await inventory(source, options);
  return [...small, ...weights].filter(({ bytes }) => bytes > 0);
}

export async function isStored(source: Source, options: LoadOptions): Promise<boolean> {
  const { small, weights } = await inventory(source, options);
  const has = (name: string) => small.some(({ file, whole }) => file === name && whole);
  return ADAPTER_FILES.every(has) || (isWhole(weights) && has('config.json') && VOCABULARIES.some((kind) => kind.every(has)));
}

export async function clearStored(source: Source, options: LoadOptions): Promise<void> {
  const { weights } = await inventory(source, options);
  const set = await fileSet(origin(source, options), [...BASE_FILES, ...ADAPTER_FILES, ...weights.map(({ file }) => file)]);
  await set.discard();
}

/** The files that a stored index names; none if it is not stored or not readable. The loader reports what is wrong with it. */
async function storedShards(place: ReturnType<Folder['locate']>, cache: LayeredCache | null): Promise<string[]> {
  try {
    let text = place instanceof Blob ? await place.text() : '';
    if (place && !(place instanceof Blob)) {
      const parts = new Parts(cache, place.url);
      const kept = await parts.read();
      if (!kept || kept.missing) return [];
      const blobs = await Promise.all(kept.parts.map((_, at) => parts.part(kept, at)));
      text = await new Blob(blobs.filter((blob) => blob !== undefined)).text();
    }
    const map = (JSON.parse(text) as { weight_map?: Record<string, unknown> }).weight_map ?? {};
    return [...new Set(Object.values(map))].filter((file) => typeof file === 'string');
  } catch {
    return [];
  }
}

/** A shard starts over, but the worker has its first bytes. */
class Restarted extends Error {}

/** How often a base in several files is begun again. */
const RESTARTS = 3;

/** Loads a base into the worker. */
export async function loadBase(origin: Origin, dtype: Dtype, engine: Engine): Promise<Result<'base.finish'>> {
  const { folder, options, trusted, emit } = origin;
  const { signal, refresh } = options;
  const set = await fileSet(origin, BASE_FILES);
  let download: Download | undefined;
  /** Whether the worker accepted the small files. */
  let begun = false;
  try {
    await set.read(async () => {
      download = undefined;
      const config = await read(folder, 'config.json', set.context, false);
      if (!config) throw new UnsupportedModelError(`${folder.name} has no config.json`);
      const tokenizer = await readTokenizer(origin, set.context);
      const begin = async (total: number, index?: Uint8Array) => {
        begun = false;
        const shards = await engine.call('base.begin', { config, tokenizer, index, dtype, total }, { signal });
        begun = true;
        return shards;
      };
      const push = (chunk: Uint8Array<ArrayBuffer>) => engine.call('base.push', { chunk }, { signal, transfer: [chunk.buffer] });
      const load = async (file: string, sink: Sink) => {
        const place = folder.locate(file);
        if (!place) return false;
        if (place instanceof Blob) await writeBlob(file, place, sink, origin);
        else await (download = new Download(place, set.context)).run(sink);
        return true;
      };
      const whole: Sink = { begin: async (total) => void (await begin(total)), write: push };
      const index = (await ifAny(load(WEIGHTS, whole))) ? undefined : await read(folder, INDEX, set.context);
      if (!index) {
        // Without weights, nothing was begun.
        if (!begun) throw noWeights(folder.name);
        return;
      }
      await (download as Download | undefined)?.rememberMissing();
      for (let again = 1; ; again++) {
        const shards = await begin(0, index);
        const places = shards.map(folder.locate).filter((place): place is Remote => place !== undefined && !(place instanceof Blob));
        await set.include(places, trusted);
        try {
          for (const file of shards) {
            let pushed = 0;
            const sink: Sink = {
              begin: (total) => {
                if (pushed > 0) throw new Restarted(`${file} changed while it was loaded`);
                return engine.call('base.shard', { total }, { signal });
              },
              write: (chunk) => ((pushed += chunk.length), push(chunk)),
            };
            download = undefined;
            if (!(await ifAny(load(file, sink)))) throw new UnsupportedModelError(`${folder.name} has no ${file}, which ${INDEX} names`);
            await confirm(file, download, await engine.call('base.shardHash', {}, { signal }), origin);
          }
          return;
        } catch (error) {
          if (!(error instanceof Restarted) || again === RESTARTS) throw error;
        }
      }
    }, { refresh, trusted });
    const loaded = await engine.call('base.finish', { name: folder.id }, { signal });
    if (!loaded.shards) await confirm(WEIGHTS, download, loaded.fileHash, origin);
    for (const message of loaded.notes) emit({ status: 'note', name: folder.name, message });
    return loaded;
  } catch (error) {
    throwIfAborted(signal);
    const cause = await explain(error, begun ? download : undefined);
    await set.failed(cause);
    throw cause;
  }
}

/** False if the file does not exist. */
async function ifAny(found: Promise<boolean>): Promise<boolean> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof SourceError && error.status === 404) return false;
    throw error;
  }
}

async function explain(error: unknown, download: Download | undefined): Promise<unknown> {
  if (isElsewhere(error) || !download) return error;
  // Either the hash check found the damage, or the worker found it without knowing where the file came from.
  if (error instanceof IntegrityError && error.expected !== '') return error;
  return download.explain(error);
}

async function writeBlob(file: string, blob: Blob, sink: Sink, { folder: { name }, options: { signal }, emit }: Origin): Promise<void> {
  emit({ status: 'initiate', name, file });
  await sink.begin(blob.size);
  for (let at = 0; at < blob.size; at += PART_BYTES) {
    throwIfAborted(signal);
    await sink.write(new Uint8Array(await blob.slice(at, at + PART_BYTES).arrayBuffer()));
    const loaded = Math.min(at + PART_BYTES, blob.size);
    emit({ status: 'progress', name, file, progress: (100 * loaded) / blob.size, loaded, total: blob.size });
  }
}

/** Compares the hash of a loaded file with what is known of it. */
async function confirm(file: string, download: Download | undefined, hash: string, { folder: { name }, options, emit }: Origin): Promise<void> {
  if (download) return download.confirm(hash);
  checkHash(file, options, hash);
  emit({ status: 'done', name, file, from: 'files', verified: options.sha256?.[file] !== undefined });
}

function checkHash(file: string, { sha256 }: LoadOptions, actual: string): void {
  const expected = sha256?.[file]?.toLowerCase();
  if (expected !== undefined && expected !== actual) throw new IntegrityError(file, expected, actual);
}

function noWeights(name: string): UnsupportedModelError {
  return new UnsupportedModelError(`${name} has no ${WEIGHTS}; convert pytorch_model.bin and other formats with Transformers' save_pretrained`);
}

async function read(folder: Folder, file: string, within: DownloadContext, optional = true): Promise<Uint8Array | undefined> {
  const place = folder.locate(file);
  if (place instanceof Blob) return new Uint8Array(await place.arrayBuffer());
  return place && collectIfAny(place, within, optional);
}

/** The files of the vocabulary, and the settings next to it, by name. */
async function readTokenizer({ folder, emit }: Origin, within: DownloadContext): Promise<Record<string, Uint8Array>> {
  const { name } = folder;
  const files: Record<string, Uint8Array> = {};
  const add = async (file: string) => {
    const bytes = await read(folder, file, within);
    if (bytes) files[file] = bytes;
    return bytes;
  };
  const setting = async (file: string) => {
    try {
      await add(file);
    } catch (error) {
      // Servers of single-page applications send their page in place of a file that does not exist.
      if (!(error instanceof SourceError) || !error.message.includes('an HTML page')) throw error;
      emit({ status: 'note', name, message: `${file}: the server sent an HTML page; the base is loaded without this file` });
    }
  };
  for (const kind of VOCABULARIES) {
    for (const file of kind) if (!(await add(file))) break;
    if (kind[0]! in files) break;
  }
  if (Object.keys(files).length === 0) throw new UnsupportedModelError(`${name} has neither tokenizer.json nor vocab.txt, nor the vocabulary of an older RoBERTa`);
  await Promise.all(SETTINGS.map(setting));
  return files;
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
