/** A file in the cache, in parts. An interrupted download resumes after the last part. */

import type { LayeredCache } from './cache.js';

export interface Kept {
  /** Bytes of the complete file. */
  size: number;
  /** The server's version of the file (ETag or date); `null` if it sent nothing reliable. */
  version: string | null;
  /** The ETag or date to compare with the server's in later visits; `null` if it sent none. */
  tag: string | null;
  /** The hub's id of the contents. */
  oid?: string | undefined;
  /** Bytes of each stored part, in order. */
  parts: number[];
  /** SHA-256 of the complete file, once computed. */
  sha256: string | null;
  /** The file is optional and did not exist. */
  missing?: boolean;
}

export class Parts {
  #cache: LayeredCache | null;
  #url: string;

  /** `null` stores nothing. */
  constructor(cache: LayeredCache | null, url: string) {
    this.#cache = cache;
    this.#url = url;
  }

  /** The stored index of the file, if any. */
  async read(): Promise<Kept | undefined> {
    const blob = await this.#cache?.match(this.#key('index'));
    if (!blob) return undefined;
    try {
      const kept = JSON.parse(await blob.text()) as Kept;
      return Number.isFinite(kept.size) && kept.parts.every(Number.isSafeInteger) ? kept : undefined;
    } catch {
      return undefined;
    }
  }

  /** A part's bytes; `undefined` if it is missing or truncated. */
  async part(kept: Kept, at: number): Promise<Blob | undefined> {
    const blob = await this.#cache?.match(this.#key(String(at)));
    return blob?.size === kept.parts[at] ? blob : undefined;
  }

  /** Adds a part, then writes the index that includes it. In this order, an interruption leaves a valid index. */
  async append(kept: Kept, part: Blob): Promise<void> {
    const at = kept.parts.length;
    kept.parts.push(part.size);
    await this.#cache?.put(this.#key(String(at)), part);
    await this.write(kept);
  }

  async write(kept: Kept): Promise<void> {
    await this.#cache?.put(this.#key('index'), new Blob([JSON.stringify(kept)], { type: 'application/json' }));
  }

  async clear(kept: Kept | undefined): Promise<void> {
    await this.#cache?.delete(this.#key('index'));
    for (let at = 0; at < (kept?.parts.length ?? 0); at++) await this.#cache?.delete(this.#key(String(at)));
  }

  /** Cache keys ignore fragments, so the query distinguishes the parts. */
  #key(part: string): string {
    const url = new URL(this.#url);
    url.searchParams.set('lorb-part', part);
    return url.href;
  }
}

export function keptBytes(kept: Kept): number {
  return kept.parts.reduce((sum, part) => sum + part, 0);
}
