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
  if (response.ok) return response;
  await response.body?.cancel();
  // More is stored than the file now contains: request all of it.
  if (status === 416 && from > 0) return request(url, 0, null, signal);
  if (status === 408 || status === 429 || status >= 500) throw new Broken(`the server answered ${status}`, false, status);
  const what = status === 404 || status === 410 ? 'not found' : status === 401 || status === 403 ? 'access denied' : 'could not be downloaded';
  throw new SourceError(url, `${what} (the server answered ${status})`, status === 410 ? 404 : status);
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

function crossOrigin(url: string): boolean {
  const here = globalThis.location?.origin;
  return here !== undefined && new URL(url).origin !== here;
}
