/** Stores downloads: in the Cache API or a replacement, and in memory if that is full or missing. */

import type { CacheLike } from './types.js';

const NAME = 'lorb';

/** Files that the browser did not store, until the page closes. Recovery from a lost device reads them again. */
const overflow = new Map<string, Blob>();

/** The browser's cache, or why there is none. */
export async function browserCache(): Promise<CacheLike | string> {
  if (!('caches' in globalThis)) return globalThis.isSecureContext === false ? 'this page has no storage because it is not served over https' : 'there is no Cache API';
  try {
    return await caches.open(NAME);
  } catch (error) {
    // Private browsing, or storage blocked by the user.
    return `the browser refuses storage: ${(error as Error).message}`;
  }
}

/** The browser's cache if it exists. Does not create one. */
export async function existingCache(): Promise<CacheLike | undefined> {
  try {
    return (await caches.has(NAME)) ? await caches.open(NAME) : undefined;
  } catch {
    return undefined;
  }
}

/** A cache that falls back to memory when it cannot store something, and reports that once. */
export class LayeredCache {
  #below: CacheLike | undefined;
  /** Why there is no cache. */
  #none = '';
  #full = false;
  #onFallback: (reason: string) => void;

  constructor(below: CacheLike | string, onFallback: (reason: string) => void) {
    if (typeof below === 'string') this.#none = below;
    else this.#below = below;
    this.#onFallback = onFallback;
  }

  async match(key: string): Promise<Blob | undefined> {
    const held = overflow.get(key);
    if (held) return held;
    try {
      return await (await this.#below?.match(key))?.blob();
    } catch {
      // Treat an unreadable cache as empty; the network has the file.
      return undefined;
    }
  }

  async put(key: string, blob: Blob): Promise<void> {
    if (!this.#full && this.#below) {
      try {
        // Store the length, so that a truncated body in the cache can be detected.
        const headers = { 'content-length': String(blob.size), 'content-type': blob.type || 'application/octet-stream' };
        await this.#below.put(key, new Response(blob, { headers }));
        overflow.delete(key);
        return;
      } catch (error) {
        this.#fallBack(String((error as Error)?.message || error));
      }
    } else if (!this.#full) {
      this.#fallBack(this.#none);
    }
    // Never leave an older entry, which a later visit would combine with newer ones.
    await this.delete(key);
    overflow.set(key, blob);
  }

  async delete(key: string): Promise<void> {
    overflow.delete(key);
    try {
      await this.#below?.delete?.(key);
    } catch {
      // An entry that cannot be deleted is detected as stale when it is read.
    }
  }

  #fallBack(reason: string): void {
    this.#full = true;
    this.#onFallback(reason);
  }
}
