/** The files of a base or an adapter: stored, checked against the server and loaded as one version. */

import type { DownloadContext, Remote } from './download.js';
import { isElsewhere, throwIfAborted } from './errors.js';
import { keptBytes, Parts, type Kept } from './parts.js';
import { ask, sameTag, tagOf } from './request.js';

/** How a stored file compares with the server's. `unknown`: the server does not say; `offline`: it could not be asked. */
type Verdict = 'same' | 'changed' | 'unknown' | 'offline';

export class FileSet {
  readonly context: DownloadContext;
  #remotes: Remote[];

  constructor(remotes: Remote[], context: DownloadContext) {
    this.#remotes = remotes;
    this.context = context;
  }

  /**
   * Runs `load`, which reads the files. Before that, stored files of another version than the server's are discarded; so are
   * all of them if some are missing and the rest cannot be compared. If the server's files change during `load`, it runs again.
   */
  async read<T>(load: () => Promise<T>, { refresh, trusted }: { refresh?: boolean | undefined; trusted?: boolean | undefined }): Promise<T> {
    if (trusted) return load();
    if (refresh) await this.discard();
    const stored = refresh || this.context.localOnly ? 0 : await this.#keepCurrent();
    for (let again = false; ; again = true) {
      const loaded = await load();
      if (again || (await this.#isOneVersion(stored > 0))) return loaded;
      await this.discard();
    }
  }

  /** Adds files that another file of the set names. Stored ones of another version than the server's are discarded. */
  async include(remotes: Remote[], trusted?: boolean): Promise<void> {
    const { cache, localOnly } = this.context;
    const added = remotes.filter(({ url }) => !this.#remotes.some((known) => known.url === url));
    this.#remotes.push(...added);
    if (trusted || localOnly) return;
    const kept = await Promise.all(added.map(({ url }) => new Parts(cache, url).read()));
    const verdicts = await this.#compare(kept, added);
    const whole = kept.every((file) => file && keptBytes(file) === file.size);
    for (const [at, { url }] of added.entries()) {
      if (verdicts[at] === 'changed' || (verdicts[at] === 'unknown' && !whole)) await new Parts(cache, url).clear(kept[at]);
    }
  }

  async discard(): Promise<void> {
    const { cache, seen } = this.context;
    await Promise.all(
      this.#remotes.map(async ({ url }) => {
        const parts = new Parts(cache, url);
        await parts.clear(await parts.read());
      }),
    );
    seen.clear();
  }

  /** Discards what is stored if the fault may be in the files, so that a bad file does not fail later visits too. */
  async failed(error: unknown): Promise<void> {
    if (!this.context.signal?.aborted && !isElsewhere(error)) await this.discard();
  }

  /** Returns how many files are stored after discarding old ones. */
  async #keepCurrent(): Promise<number> {
    const { cache } = this.context;
    const kept = await Promise.all(this.#remotes.map(({ url }) => new Parts(cache, url).read()));
    if (kept.every((file) => file === undefined)) return 0;
    const verdicts = await this.#compare(kept);
    const present = kept.filter((file) => file && !file.missing) as Kept[];
    // The first and the last file of a set are required; others may be absent.
    const weights = kept.at(-1);
    const partial = !kept[0] || !weights || present.some((file) => keptBytes(file) < file.size);
    if (verdicts.includes('changed') || (partial && verdicts.includes('unknown'))) {
      await this.discard();
      return 0;
    }
    // Ask again for a file that was missing, unless it is known to be missing still.
    for (const [at, file] of kept.entries()) {
      if (file?.missing && verdicts[at] === 'unknown') await new Parts(cache, this.#remotes[at]!.url).clear(file);
    }
    return present.length;
  }

  /** Whether the files of this load belong together. Those of one visit do, unless one changed; stored ones were compared. */
  async #isOneVersion(someStored: boolean): Promise<boolean> {
    const { seen, fetched, localOnly } = this.context;
    // Files that do not exist are of every version.
    const received = [...fetched].some((url) => seen.has(url) && !seen.get(url)!.missing);
    if (!received || localOnly) return true;
    const verdicts = await this.#compare(this.#remotes.map(({ url }) => seen.get(url)));
    return !verdicts.includes('changed') && !(someStored && verdicts.includes('unknown'));
  }

  async #compare(kept: (Kept | undefined)[], remotes = this.#remotes): Promise<(Verdict | undefined)[]> {
    for (const { renew } of remotes) renew?.();
    const verdicts = await Promise.all(kept.map((file, at) => file && this.#verdict(remotes[at]!, file)));
    throwIfAborted(this.context.signal);
    return verdicts;
  }

  async #verdict({ url, facts, fixed }: Remote, kept: Kept): Promise<Verdict> {
    if (fixed) return 'same';
    const listed = await facts?.();
    if (listed && kept.missing) return 'changed';
    if (listed === null) return kept.missing ? 'same' : 'unknown';
    if (listed?.oid && kept.oid) return listed.oid === kept.oid ? 'same' : 'changed';
    // Not a conditional request: across origins, its headers would need the server's permission.
    const now = await ask(url, { method: 'HEAD' }, this.context.signal, async ({ status, headers }) => ({ status, headers }));
    if (!now || now.status >= 500 || now.status === 408 || now.status === 429) return 'offline';
    if (now.status === 404 || now.status === 410) return kept.missing ? 'same' : 'unknown';
    // A login page, for example, says nothing about the file.
    if (now.status !== 200 || now.headers.get('content-type')?.startsWith('text/html')) return 'unknown';
    if (kept.missing) return 'changed';
    const tag = tagOf(now.headers);
    if (tag === null || kept.tag === null) return 'unknown';
    return sameTag(tag, kept.tag) ? 'same' : 'changed';
  }
}
