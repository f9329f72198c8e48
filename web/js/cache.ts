/** Where downloads are kept: the Cache API or what stands in for it, and memory where that is full or missing. */

import type { CacheLike } from './types.js';

const NAME = 'lorb';

/** What the browser would not take, for the life of this page: recovery from a lost device reads it again. */
const overflow = new Map<string, Blob>();

/** The browser's cache; `undefined` where it has none (an insecure page, private browsing). */
export async function browserCache(): Promise<CacheLike | undefined> {
  try {
    return await caches.open(NAME);
  } catch {
    return undefined;
  }
}

/** A cache that falls back to memory when it cannot keep something, and says so once. */
export class LayeredCache {
  #below: CacheLike | undefined;
  #full = false;
  #onFallback: (reason: string) => void;

  constructor(below: CacheLike | undefined, onFallback: (reason: string) => void) {
    this.#below = below;
    this.#onFallback = onFallback;
  }

  async match(key: string): Promise<Blob | undefined> {
    const held = overflow.get(key);
    if (held) return held;
    try {
      return await (await this.#below?.match(key))?.blob();
    } catch {
      // A cache that cannot be read holds nothing; the network has it.
      return undefined;
    }
  }

  async put(key: string, blob: Blob): Promise<void> {
    if (!this.#full && this.#below) {
      try {
        // With its length, so that a body cut short in the cache can be told from a whole one.
        const headers = { 'content-length': String(blob.size), 'content-type': blob.type || 'application/octet-stream' };
        await this.#below.put(key, new Response(blob, { headers }));
        overflow.delete(key);
        return;
      } catch (error) {
        this.#fallBack(String((error as Error)?.message || error));
      }
    } else if (!this.#full) {
      this.#fallBack('this page has no Cache API');
    }
    overflow.set(key, blob);
  }

  async delete(key: string): Promise<void> {
    overflow.delete(key);
    try {
      await this.#below?.delete?.(key);
    } catch {
      // What cannot be deleted is found to be stale when it is read.
    }
  }

  #fallBack(reason: string): void {
    this.#full = true;
    this.#onFallback(reason);
  }
}
