/** One file from the network or the cache, streamed in parts. Resumes interrupted downloads and checks known hashes. */

import { LayeredCache } from './cache.js';
import { impostor, mostBytes, START_BYTES } from './contents.js';
import { abortError, IntegrityError, SourceError, throwIfAborted } from './errors.js';
import { keptBytes, Parts, type Kept } from './parts.js';
import { announced, Broken, patience, request, tagOf, versionOf, type Patience } from './request.js';
import { sha256 } from './sha256.js';
import type { ProgressCallback } from './types.js';

/** Bytes per part: the maximum that a broken connection loses and that JavaScript buffers. */
export const PART_BYTES = 4 << 20;

const RETRIES = 4;
const STALL_AFTER = 60_000;
/** Milliseconds between progress events of a file. */
const PROGRESS_EVERY = 50;

/** What a directory listing says about a file. */
export interface Facts {
  size: number | undefined;
  sha256: string | undefined;
  /** The hub's id of the contents. */
  oid: string | undefined;
}

export interface Remote {
  url: string;
  file: string;
  /** Called only when the network is needed; `null`: the listing does not contain the file. */
  facts?: (() => Promise<Facts | null | undefined>) | undefined;
  /** Makes `facts` ask again. */
  renew?: (() => void) | undefined;
  /** Whether the file at this URL never changes. */
  fixed?: boolean | undefined;
  /** The hash that the caller expects. */
  sha256?: string | undefined;
}

/** Bytes that are not shared: `Uint8Array<ArrayBuffer>`, which TypeScript has only since 5.7. */
export type Bytes = ReturnType<Uint8Array['slice']>;

/** Receives a file's bytes in order. */
export interface Sink {
  /** Called again if a download starts over. */
  begin(total: number): void | Promise<void>;
  /** Takes ownership of the bytes. */
  write(bytes: Bytes): void | Promise<void>;
}

export interface DownloadContext {
  /** Name of the model, for events. */
  name: string;
  cache: LayeredCache | null;
  emit: ProgressCallback;
  signal: AbortSignal | undefined;
  localOnly: boolean;
  /** The files read so far, by URL; and the URLs of those that were requested. */
  seen: Map<string, Kept>;
  fetched: Set<string>;
  /** Milliseconds before the first retry; doubles every time. */
  retryAfter?: number;
  /** Milliseconds without data after which a request is repeated. */
  stallAfter?: number;
}

export class Download {
  #remote: Remote;
  #context: DownloadContext;
  #parts: Parts;
  #kept: Kept | undefined;
  #expected: string | undefined;
  #from: 'cache' | 'network' = 'cache';
  /** Bytes written to the sink; undefined before `begin`. */
  #fed: number | undefined;
  #oid: string | undefined;
  #lastProgress = 0;

  constructor(remote: Remote, context: DownloadContext) {
    this.#remote = remote;
    this.#context = context;
    this.#parts = new Parts(context.cache, remote.url);
    this.#expected = remote.sha256?.toLowerCase();
  }

  /** Streams the whole file into the sink. */
  async run(sink: Sink): Promise<void> {
    const { name, emit, localOnly } = this.#context;
    const { file, url } = this.#remote;
    emit({ status: 'initiate', name, file });
    this.#kept = await this.#parts.read();
    if (this.#kept) this.#context.seen.set(url, this.#kept);
    if (this.#kept?.missing) throw new SourceError(url, 'not found', 404);
    if (this.#kept && keptBytes(this.#kept) === this.#kept.size) {
      this.#expected ??= this.#kept.sha256 ?? undefined;
      if (await this.#replay(this.#kept, sink)) return;
      await this.#startOver();
    }
    if (localOnly) throw new SourceError(url, 'not in the cache, and localFilesOnly forbids downloads');
    await this.#fetch(sink);
    this.#context.seen.set(url, this.#kept!);
  }

  /** Records that an optional file does not exist, so that it is not missed offline. */
  async rememberMissing(): Promise<void> {
    const kept: Kept = { size: 0, version: null, tag: null, parts: [], sha256: null, missing: true };
    this.#context.seen.set(this.#remote.url, kept);
    await this.#parts.write(kept);
  }

  /** Compares the received hash with the expected one. Without one, later visits expect the received hash. */
  async confirm(actual: string): Promise<void> {
    const kept = this.#kept!;
    if (this.#expected !== undefined && this.#expected !== actual) throw await this.#corrupt(actual);
    if (kept.sha256 !== actual) {
      kept.sha256 = actual;
      await this.#parts.write(kept);
    }
    const { name, emit } = this.#context;
    emit({ status: 'done', name, file: this.#remote.file, from: this.#from, verified: this.#expected !== undefined });
  }

  /**
   * Why a file could not be used: an `IntegrityError` if it is known to be damaged, otherwise
   * `error`. Either way the file is discarded, because it would not load later either.
   */
  async explain(error: unknown): Promise<unknown> {
    const { cache } = this.#context;
    if (this.#expected !== undefined && cache) {
      const rest: Sink = { begin: () => {}, write: () => {} };
      if (!this.#kept || keptBytes(this.#kept) !== this.#kept.size) await this.#fetch(rest);
      const kept = this.#kept!;
      const blobs = await Promise.all(kept.parts.map((_, at) => this.#parts.part(kept, at)));
      const whole = new Blob(blobs.filter((blob) => blob !== undefined));
      const actual = await sha256(await whole.arrayBuffer());
      if (actual !== this.#expected) return this.#corrupt(actual);
    }
    await this.#startOver();
    return error instanceof IntegrityError ? new IntegrityError(this.#remote.url, '', '', `${this.#remote.url}: ${error.message}`) : error;
  }

  async #corrupt(actual: string): Promise<IntegrityError> {
    await this.#startOver();
    return new IntegrityError(this.#remote.url, this.#expected!, actual);
  }

  async #startOver(): Promise<void> {
    await this.#parts.clear(this.#kept);
    this.#kept = undefined;
    this.#fed = undefined;
  }

  async #fetch(sink: Sink): Promise<void> {
    const { name, emit, signal, retryAfter = 500, stallAfter = STALL_AFTER } = this.#context;
    const { file, url } = this.#remote;
    this.#from = 'network';
    this.#context.fetched.add(url);
    const facts = await this.#remote.facts?.();
    if (facts === null) throw new SourceError(url, 'not found', 404);
    this.#expected ??= facts?.sha256?.toLowerCase();
    this.#oid = facts?.oid;
    emit({ status: 'download', name, file });
    for (let failures = 0; ; ) {
      const patient = patience(signal, stallAfter);
      try {
        await this.#once(sink, facts?.size, patient);
        return;
      } catch (error) {
        throwIfAborted(signal);
        if (!(error instanceof Broken)) throw error;
        // Count only connections that made no progress: a slow one that breaks often may still finish.
        failures = error.progressed ? 1 : failures + 1;
        if (failures > RETRIES) throw new SourceError(url, error.message, error.status, { cause: error });
        const loaded = this.#kept ? keptBytes(this.#kept) : 0;
        emit({ status: 'retry', name, file, loaded, reason: error.message });
        await delay(retryAfter * 2 ** (failures - 1), signal);
      } finally {
        patient.end();
      }
    }
  }

  /** One request, starting at the current byte. */
  async #once(sink: Sink, listed: number | undefined, patient: Patience): Promise<void> {
    const { url } = this.#remote;
    // Without a version, append to stored bytes only if the hash will be checked at the end.
    if (this.#kept && this.#kept.version === null && this.#expected === undefined) await this.#startOver();
    const from = this.#kept ? keptBytes(this.#kept) : 0;
    const response = await patient.wait(request(url, from, this.#kept?.version ?? null, patient.signal));
    const { total, start } = announced(response, from, listed);
    const version = versionOf(response);
    if (listed !== undefined && total !== undefined && total !== listed) {
      await response.body?.cancel();
      throw new SourceError(url, `the server announced ${total} bytes, but lists the file with ${listed}`);
    }
    if (from > 0 && (start !== from || version !== this.#kept!.version || (total !== undefined && total !== this.#kept!.size))) {
      // Another file, or a server without range support.
      await this.#startOver();
      if (start !== 0) {
        await response.body?.cancel();
        throw new Broken('the file changed on the server', false);
      }
    }
    this.#expected ??= linkedHash(response);
    const about = { version, tag: tagOf(response.headers), oid: this.#oid, sha256: null };
    if (total === undefined) return this.#spool(response, { ...about, version: null, size: Infinity, parts: [] }, sink, patient);
    const kept = (this.#kept ??= { ...about, size: total, parts: [] });
    if (!(await this.#catchUp(kept, sink))) {
      await response.body?.cancel();
      await this.#startOver();
      throw new Broken('a part of the file is missing from the cache', false);
    }
    await this.#stream(response, kept, this.#parts, sink, patient);
    if (keptBytes(kept) < kept.size) throw new Broken(`the connection ended at byte ${keptBytes(kept)} of ${kept.size}`, keptBytes(kept) > from);
  }

  async #stream(response: Response, kept: Kept, parts: Parts, sink: Sink | undefined, patient: Patience): Promise<void> {
    const { signal } = this.#context;
    const reader = response.body!.getReader();
    const before = keptBytes(kept);
    let buffer = new Uint8Array(PART_BYTES);
    let filled = 0;
    const { file, url } = this.#remote;
    const flush = async (feed: boolean, ended: boolean) => {
      if (before === 0 && kept.parts.length === 0) {
        // Too little to judge, and to be worth resuming from.
        if (filled < START_BYTES && !ended) return;
        const found = impostor(file, buffer.subarray(0, filled));
        if (found) throw new SourceError(url, `the server sent ${found} instead of this file`);
      }
      if (filled === 0) return;
      const bytes = filled === buffer.length ? buffer : buffer.slice(0, filled);
      buffer = new Uint8Array(PART_BYTES);
      filled = 0;
      await parts.append(kept, new Blob([bytes]));
      if (!feed || !sink) return;
      await sink.write(bytes);
      this.#fed = keptBytes(kept);
    };
    try {
      for (;;) {
        let chunk: Uint8Array | undefined;
        try {
          chunk = (await patient.wait(reader.read())).value;
        } catch (error) {
          throwIfAborted(signal);
          await flush(true, false);
          throw new Broken(`the connection broke (${(error as Error).message})`, keptBytes(kept) > before);
        }
        if (!chunk) break;
        const most = Math.min(kept.size, mostBytes(file));
        if (keptBytes(kept) + filled + chunk.length > most) {
          await parts.clear(kept);
          const why = most < kept.size ? 'the most for such a file' : 'as announced; serve the file without compression';
          throw new SourceError(url, `received more than ${most} bytes, ${why}`);
        }
        for (let at = 0; at < chunk.length; ) {
          const take = Math.min(chunk.length - at, buffer.length - filled);
          buffer.set(chunk.subarray(at, at + take), filled);
          filled += take;
          at += take;
          if (filled === buffer.length) await flush(true, false);
        }
        this.#progress(keptBytes(kept) + filled, kept.size);
      }
      // A connection that ends early is not always reported as broken.
      await flush(true, keptBytes(kept) + filled === kept.size || kept.size === Infinity);
    } catch (error) {
      // Received parts stay in the cache: the next visit resumes here.
      if (signal?.aborted) await flush(false, false);
      await reader.cancel().catch(() => {});
      throw error;
    }
  }

  /** A file of unknown length. The sink must know the length first, so the parts are collected beforehand. */
  async #spool(response: Response, kept: Kept, sink: Sink, patient: Patience): Promise<void> {
    // Without a cache, parts stay in memory until they are written to the sink.
    const parts = this.#context.cache ? this.#parts : new Parts(new LayeredCache('', () => {}), this.#remote.url);
    await this.#stream(response, kept, parts, undefined, patient);
    kept.size = keptBytes(kept);
    await parts.write(kept);
    this.#kept = kept;
    if (!(await this.#replay(kept, sink, parts))) throw new Broken('a part of the file is missing from the cache', false);
    if (parts !== this.#parts) await parts.clear(kept);
  }

  /** Writes stored parts to the sink, if it has not received them yet. Returns whether all of them were available. */
  async #catchUp(kept: Kept, sink: Sink, parts = this.#parts): Promise<boolean> {
    if (this.#fed === undefined) {
      await sink.begin(kept.size);
      this.#fed = 0;
    }
    let start = 0;
    for (let at = 0; at < kept.parts.length; start += kept.parts[at++]!) {
      if (start < this.#fed) continue;
      throwIfAborted(this.#context.signal);
      const blob = await parts.part(kept, at);
      if (!blob) return false;
      await sink.write(new Uint8Array(await blob.arrayBuffer()));
      this.#fed = start + kept.parts[at]!;
      this.#progress(this.#fed, kept.size);
    }
    return true;
  }

  async #replay(kept: Kept, sink: Sink, parts = this.#parts): Promise<boolean> {
    this.#fed = undefined;
    return this.#catchUp(kept, sink, parts);
  }

  #progress(loaded: number, total: number): void {
    const now = performance.now();
    if (!Number.isFinite(total) || (loaded < total && now - this.#lastProgress < PROGRESS_EVERY)) return;
    this.#lastProgress = now;
    const { name, emit } = this.#context;
    emit({ status: 'progress', name, file: this.#remote.file, progress: total ? (100 * loaded) / total : 100, loaded, total });
  }
}

/** Reads a small file into memory. */
export async function collect(remote: Remote, context: DownloadContext): Promise<Bytes> {
  const download = new Download(remote, context);
  let chunks: Bytes[] = [];
  await download.run({ begin: () => void (chunks = []), write: (bytes) => void chunks.push(bytes) });
  const buffer = await new Blob(chunks).arrayBuffer();
  await download.confirm(await sha256(buffer));
  return new Uint8Array(buffer);
}

/** The same; `undefined` if the file does not exist, which is stored only if it is `optional`. */
export async function collectIfAny(remote: Remote, context: DownloadContext, optional: boolean): Promise<Bytes | undefined> {
  try {
    return await collect(remote, context);
  } catch (error) {
    if (!(error instanceof SourceError) || error.status !== 404) throw error;
    if (optional) await new Download(remote, context).rememberMissing();
    return undefined;
  }
}

/** The hub sends the SHA-256 of a large file in its own header; some stores use the ETag. */
function linkedHash(response: Response): string | undefined {
  const names = [response.headers.get('x-linked-etag'), response.headers.get('etag')];
  return names.map((name) => name?.replace(/^"|"$/g, '')).find((name) => name !== undefined && /^[0-9a-f]{64}$/.test(name));
}

function delay(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason ?? abortError());
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
