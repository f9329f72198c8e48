/** One file from the network or the cache, streamed in parts: resumed where it was cut, checked where its hash is known. */

import { LayeredCache } from './cache.js';
import { abortError, IntegrityError, SourceError, throwIfAborted } from './errors.js';
import { keptBytes, Parts, type Kept } from './parts.js';
import { announced, Broken, request, versionOf } from './request.js';
import type { ProgressCallback } from './types.js';

/** Bytes of a part: what a broken connection loses of the cache at most, and what JavaScript holds at a time. */
export const PART_BYTES = 4 << 20;

const RETRIES = 4;
/** Milliseconds between progress events of a file. */
const PROGRESS_EVERY = 50;

/** What a listing tells of a file beforehand. */
export interface Facts {
  size: number | undefined;
  sha256: string | undefined;
}

export interface Remote {
  url: string;
  file: string;
  /** Asked only when the network is needed; `null`: the listing has no such file. */
  facts?: (() => Promise<Facts | null | undefined>) | undefined;
  /** As the caller expects it. */
  sha256?: string | undefined;
}

/** Takes a file's bytes in order. */
export interface Sink {
  /** Called again where a download starts over. */
  begin(total: number): void | Promise<void>;
  /** Owns the bytes from then on. */
  write(bytes: Uint8Array<ArrayBuffer>): void | Promise<void>;
}

export interface DownloadContext {
  /** Of the model, for events. */
  name: string;
  cache: LayeredCache | null;
  emit: ProgressCallback;
  signal: AbortSignal | undefined;
  localOnly: boolean;
  /** Milliseconds before the first repetition, doubled every time. */
  retryAfter?: number;
}

export class Download {
  #remote: Remote;
  #context: DownloadContext;
  #parts: Parts;
  #kept: Kept | undefined;
  #expected: string | undefined;
  #from: 'cache' | 'network' = 'cache';
  /** Bytes that the sink has had; none when it was not begun. */
  #fed: number | undefined;
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
    if (this.#kept?.missing) throw new SourceError(url, 'is not there', 404);
    if (this.#kept && keptBytes(this.#kept) === this.#kept.size) {
      this.#expected ??= this.#kept.sha256 ?? undefined;
      if (await this.#replay(this.#kept, sink)) return;
      await this.#startOver();
    }
    if (localOnly) throw new SourceError(url, 'is not in the cache, and local_files_only forbids to fetch it');
    await this.#fetch(sink);
  }

  /** Remembers that there is no such file, so that a later visit need not ask. */
  async rememberMissing(): Promise<void> {
    await this.#parts.write({ size: 0, version: null, parts: [], sha256: null, missing: true });
  }

  /** Compares what arrived with what was expected; where nothing was, later visits expect the same. */
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
   * Why a file could not be used: because it is damaged, where that can be told, else as `error` says. Either way it is not kept:
   * what did not load now will not later.
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
    const { name, emit, signal, retryAfter = 500 } = this.#context;
    const { file, url } = this.#remote;
    this.#from = 'network';
    const facts = await this.#remote.facts?.();
    if (facts === null) throw new SourceError(url, 'is not there', 404);
    this.#expected ??= facts?.sha256?.toLowerCase();
    emit({ status: 'download', name, file });
    for (let failures = 0; ; ) {
      try {
        await this.#once(sink, facts?.size);
        return;
      } catch (error) {
        throwIfAborted(signal);
        if (!(error instanceof Broken)) throw error;
        // Only connections that bring nothing count: a slow one that breaks often may still arrive.
        failures = error.progressed ? 1 : failures + 1;
        if (failures > RETRIES) throw new SourceError(url, error.message, error.status, { cause: error });
        const loaded = this.#kept ? keptBytes(this.#kept) : 0;
        emit({ status: 'retry', name, file, loaded, reason: error.message });
        await delay(retryAfter * 2 ** (failures - 1), signal);
      }
    }
  }

  /** One request, from the byte that is reached. */
  async #once(sink: Sink, listed: number | undefined): Promise<void> {
    const { signal } = this.#context;
    const { url } = this.#remote;
    // Bytes of a version without a name can only be added to where the hash tells in the end.
    if (this.#kept && this.#kept.version === null && this.#expected === undefined) await this.#startOver();
    const from = this.#kept ? keptBytes(this.#kept) : 0;
    const response = await request(url, from, this.#kept?.version ?? null, signal);
    const { total, start } = announced(response, from, listed);
    const version = versionOf(response);
    if (from > 0 && (start !== from || version !== this.#kept!.version || (total !== undefined && total !== this.#kept!.size))) {
      // Another file, or a server that knows no ranges.
      await this.#startOver();
      if (start !== 0) {
        await response.body?.cancel();
        throw new Broken('the file changed on the server', true);
      }
    }
    this.#expected ??= linkedHash(response);
    if (total === undefined) return this.#spool(response, sink);
    const kept = (this.#kept ??= { size: total, version, parts: [], sha256: null });
    if (!(await this.#catchUp(kept, sink))) {
      await response.body?.cancel();
      await this.#startOver();
      throw new Broken('a part of the file is gone from the cache', true);
    }
    await this.#stream(response, kept, this.#parts, sink);
    if (keptBytes(kept) < kept.size) throw new Broken(`the connection ended at byte ${keptBytes(kept)} of ${kept.size}`, true);
  }

  async #stream(response: Response, kept: Kept, parts: Parts, sink: Sink | undefined): Promise<void> {
    const { signal } = this.#context;
    const reader = response.body!.getReader();
    const before = keptBytes(kept);
    let buffer = new Uint8Array(PART_BYTES);
    let filled = 0;
    const flush = async (feed: boolean) => {
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
          chunk = (await reader.read()).value;
        } catch (error) {
          throwIfAborted(signal);
          await flush(true);
          throw new Broken(`the connection broke (${(error as Error).message})`, keptBytes(kept) > before);
        }
        if (!chunk) break;
        if (keptBytes(kept) + filled + chunk.length > kept.size) {
          throw new SourceError(this.#remote.url, `more bytes came than the ${kept.size} announced; serve it without compression`);
        }
        for (let at = 0; at < chunk.length; ) {
          const take = Math.min(chunk.length - at, buffer.length - filled);
          buffer.set(chunk.subarray(at, at + take), filled);
          filled += take;
          at += take;
          if (filled === buffer.length) await flush(true);
        }
        this.#progress(keptBytes(kept) + filled, kept.size);
      }
      await flush(true);
    } catch (error) {
      // What has come stays: the next visit goes on from here.
      if (signal?.aborted) await flush(false);
      await reader.cancel().catch(() => {});
      throw error;
    }
  }

  /** A file of unknown length: the sink has to know it beforehand, so it is gathered first. */
  async #spool(response: Response, sink: Sink): Promise<void> {
    // Without a cache, memory holds the parts until the sink has had them.
    const parts = this.#context.cache ? this.#parts : new Parts(new LayeredCache(undefined, () => {}), this.#remote.url);
    const kept: Kept = { size: Infinity, version: null, parts: [], sha256: null };
    await this.#stream(response, kept, parts, undefined);
    kept.size = keptBytes(kept);
    await parts.write(kept);
    this.#kept = kept;
    if (!(await this.#replay(kept, sink, parts))) throw new Broken('a part of the file is gone from the cache', true);
    if (parts !== this.#parts) await parts.clear(kept);
  }

  /** Gives the sink what it has not had of the kept parts. Tells whether all of them were there. */
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

/** A small file, whole. */
export async function collect(remote: Remote, context: DownloadContext): Promise<Uint8Array<ArrayBuffer>> {
  const download = new Download(remote, context);
  let chunks: Uint8Array<ArrayBuffer>[] = [];
  await download.run({ begin: () => void (chunks = []), write: (bytes) => void chunks.push(bytes) });
  const buffer = await new Blob(chunks).arrayBuffer();
  await download.confirm(await sha256(buffer));
  return new Uint8Array(buffer);
}

/** The same, `undefined` where there is no such file. */
export async function collectOptional(remote: Remote, context: DownloadContext): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await collect(remote, context);
  } catch (error) {
    if (!(error instanceof SourceError) || error.status !== 404) throw error;
    await new Download(remote, context).rememberMissing();
    return undefined;
  }
}

export async function sha256(bytes: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The hub names a large file's SHA-256 in a header of its own, and some stores in the ETag. */
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
