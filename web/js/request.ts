/** A request for a file from some byte on, and what its answer says. */

import { SourceError } from './errors.js';

/** A failure after which the same may be tried again. */
export class Broken extends Error {
  readonly progressed: boolean;
  readonly status: number | undefined;

  constructor(message: string, progressed: boolean, status?: number) {
    super(message);
    this.progressed = progressed;
    this.status = status;
  }
}

/** Fetches `url` from byte `from` on. The answer may still hold the whole file; see `announced`. */
export async function request(url: string, from: number, version: string | null, signal: AbortSignal | undefined): Promise<Response> {
  const headers: Record<string, string> = {};
  if (from > 0) {
    headers['Range'] = `bytes=${from}-`;
    // Not across origins, where this header needs a permission that few servers give; the answer's version is compared instead.
    if (version !== null && !crossOrigin(url)) headers['If-Range'] = version;
  }
  let response: Response;
  try {
    // Kept by us, so not by the HTTP cache a second time.
    response = await fetch(url, { headers, signal: signal ?? null, cache: 'no-store' });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new Broken(`cannot be reached (${(error as Error).message})`, false);
  }
  const { status } = response;
  if (response.ok) return response;
  await response.body?.cancel();
  // What is kept is longer than the file is now: ask for all of it.
  if (status === 416 && from > 0) return request(url, 0, null, signal);
  if (status === 408 || status === 429 || status >= 500) throw new Broken(`the server answered ${status}`, false, status);
  const what = status === 404 || status === 410 ? 'is not there' : status === 401 || status === 403 ? 'may not be read' : 'cannot be had';
  throw new SourceError(url, `${what} (the server answered ${status})`, status === 410 ? 404 : status);
}

/** At which byte an answer starts, and the whole file's length; `undefined` where it cannot be known. */
export function announced(response: Response, from: number, listed: number | undefined): { start: number; total: number | undefined } {
  // The length of a packed body says nothing of the file's.
  const packed = (response.headers.get('content-encoding') ?? 'identity') !== 'identity';
  const length = packed ? NaN : Number(response.headers.get('content-length') ?? NaN);
  const known = (bytes: number) => (Number.isFinite(bytes) ? bytes : listed);
  if (response.status !== 206) return { start: 0, total: known(length) };
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  // Hidden across origins unless the server shows it; the length is shown.
  return range ? { start: Number(range[1]), total: Number(range[2]) } : { start: from, total: known(from + length) };
}

/** What tells a version of a file from others: a strong ETag, else the date. */
export function versionOf(response: Response): string | null {
  const etag = response.headers.get('etag');
  return etag && !etag.startsWith('W/') ? etag : response.headers.get('last-modified');
}

function crossOrigin(url: string): boolean {
  const here = globalThis.location?.origin;
  return here !== undefined && new URL(url).origin !== here;
}
