/** A request for a file from a given byte, and the metadata of its response. */

import { SourceError } from './errors.js';

/** A failure that may be retried. */
export class Broken extends Error {
  readonly progressed: boolean;
  readonly status: number | undefined;

  constructor(message: string, progressed: boolean, status?: number) {
    super(message);
    this.progressed = progressed;
    this.status = status;
  }
}

/** Fetches `url` from byte `from`. The response may still contain the whole file; see `announced`. */
export async function request(url: string, from: number, version: string | null, signal: AbortSignal | undefined): Promise<Response> {
  const headers: Record<string, string> = {};
  if (from > 0) {
    headers['Range'] = `bytes=${from}-`;
    // Not across origins: few servers allow this header there. The version of the response is compared instead.
    if (version !== null && !crossOrigin(url)) headers['If-Range'] = version;
  }
  let response: Response;
  try {
    // This module caches the file, so the HTTP cache should not.
    response = await fetch(url, { headers, signal: signal ?? null, cache: 'no-store' });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new Broken(`could not be reached (${(error as Error).message})`, false);
  }
  const { status } = response;
  const fault = response.ok ? notTheFile(response, from) : undefined;
  if (response.ok && !fault) return response;
  await response.body?.cancel();
  if (fault) throw new SourceError(url, fault, status);
  // More is stored than the file now contains: request all of it.
  if (status === 416 && from > 0) return request(url, 0, null, signal);
  if (status === 408 || status === 429 || status >= 500) throw new Broken(`the server answered ${status}`, false, status);
  const what = status === 404 || status === 410 ? 'not found' : status === 401 || status === 403 ? 'access denied' : 'could not be downloaded';
  throw new SourceError(url, `${what} (the server answered ${status})`, status === 410 ? 404 : status);
}

/** Why a response with a status of success does not contain the requested bytes. */
function notTheFile({ status, headers }: Response, from: number): string | undefined {
  if (status === 206 && from === 0) return 'the server sent a part of the file instead of the whole';
  if (status !== 200 && status !== 206) return `the server sent no file (it answered ${status})`;
  if (!headers.get('content-type')?.startsWith('text/html')) return undefined;
  return 'the server sent an HTML page instead of this file, which may be missing or need a login';
}

/** Ends a request whose server sends nothing for `milliseconds` while someone waits for it. */
export function patience(signal: AbortSignal | undefined, milliseconds: number) {
  const control = new AbortController();
  const stop = () => control.abort(signal?.reason);
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  const wait = async <T>(work: Promise<T>): Promise<T> => {
    const timer = setTimeout(() => control.abort(new Broken(`the server sent nothing for ${milliseconds / 1000} seconds`, false)), milliseconds);
    try {
      return await work;
    } finally {
      clearTimeout(timer);
    }
  };
  return { signal: control.signal, wait, end: () => signal?.removeEventListener('abort', stop) };
}

export type Patience = ReturnType<typeof patience>;

/** Milliseconds to wait for an answer that is useful but not required. */
const ASK_FOR = 5000;

/** An answer of the server, or `undefined` if there is none in time. */
export async function ask<T>(url: string, init: RequestInit, signal: AbortSignal | undefined, read: (response: Response) => Promise<T>): Promise<T | undefined> {
  if (globalThis.navigator?.onLine === false) return undefined;
  const control = new AbortController();
  const stop = () => control.abort();
  const timer = setTimeout(stop, ASK_FOR);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await read(await fetch(url, { ...init, signal: control.signal, cache: 'no-store' }));
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

/** The first byte of a response and the length of the whole file; `undefined` if unknown. */
export function announced(response: Response, from: number, listed: number | undefined): { start: number; total: number | undefined } {
  // The length of a compressed body is not the length of the file.
  const packed = (response.headers.get('content-encoding') ?? 'identity') !== 'identity';
  const length = packed ? NaN : Number(response.headers.get('content-length') ?? NaN);
  const known = (bytes: number) => (Number.isFinite(bytes) ? bytes : listed);
  if (response.status !== 206) return { start: 0, total: known(length) };
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  // Hidden across origins unless the server exposes it; the content length is visible.
  return range ? { start: Number(range[1]), total: Number(range[2]) } : { start: from, total: known(from + length) };
}

/** Identifies the version of a file: a strong ETag, else the date. */
export function versionOf(response: Response): string | null {
  const etag = response.headers.get('etag');
  return etag && !etag.startsWith('W/') ? etag : response.headers.get('last-modified');
}

/** What tells whether a file has changed: its ETag, also a weak one, else the date. */
export function tagOf(headers: Headers): string | null {
  return headers.get('etag') ?? headers.get('last-modified');
}

/** Compares tags like If-None-Match does. Servers mark the tags of compressed responses in their own ways. */
export function sameTag(one: string, other: string): boolean {
  const plain = (tag: string) => tag.replace(/^W\//, '').replace(/[-;:](gzip|br|zstd|deflate)"$/, '"');
  return plain(one) === plain(other);
}

function crossOrigin(url: string): boolean {
  const here = globalThis.location?.origin;
  return here !== undefined && new URL(url).origin !== here;
}
