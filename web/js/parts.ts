/** A file in the cache, in parts: a download cut short goes on after the last of them. */

import type { LayeredCache } from './cache.js';

export interface Kept {
  /** Bytes of the whole file. */
  size: number;
  /** What the server called this version: ETag or date; `null` where it said nothing that can be relied on. */
  version: string | null;
  /** Bytes of each part that is kept, in order. */
  parts: number[];
  /** SHA-256 of the whole, once it was computed. */
  sha256: string | null;
  /** There is no such file; an optional one that is not asked for again. */
  missing?: boolean;
}

export class Parts {
  #cache: LayeredCache | null;
  #url: string;

  /** `null` keeps nothing. */
  constructor(cache: LayeredCache | null, url: string) {
    this.#cache = cache;
    this.#url = url;
  }

  /** What is kept of the file, if anything. */
  async read(): Promise<Kept | undefined> {
    const blob = await this.#cache?.match(this.#key('index'));
    if (!blob) return undefined;
    try {
      const kept = JSON.parse(await blob.text()) as Kept;
      return Number.isFinite(kept.size) && Array.isArray(kept.parts) ? kept : undefined;
    } catch {
      return undefined;
    }
  }

  /** A part's bytes; `undefined` where it is gone or was cut. */
  async part(kept: Kept, at: number): Promise<Blob | undefined> {
    const blob = await this.#cache?.match(this.#key(String(at)));
    return blob?.size === kept.parts[at] ? blob : undefined;
  }

  /** Adds a part, then writes the index that counts it: in this order, since either may be the last that happens. */
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

  /** Fragments are no part of a cache's keys, so the query has to tell parts from each other. */
  #key(part: string): string {
    const url = new URL(this.#url);
    url.searchParams.set('lorb-part', part);
    return url.href;
  }
}

export function keptBytes(kept: Kept): number {
  return kept.parts.reduce((sum, part) => sum + part, 0);
}
