/** Locates files: on a hub, at a URL, or given by the caller. */

import { BadInputError } from './errors.js';
import type { Facts, Remote } from './download.js';
import { ask } from './request.js';
import type { FileData, LoadOptions, Source } from './types.js';

export const HUB = 'https://huggingface.co';

/** A folder of files, some of which may not exist. */
export interface Folder {
  /** Name for events and messages. */
  name: string;
  /** The base name that adapters trained on this base record; without one, they are identified by its hash. */
  id: string | undefined;
  /** A given file, the location of a remote one, or `undefined` if it is known not to exist. */
  locate(file: string): Blob | Remote | undefined;
}

export function openFolder(source: Source, options: LoadOptions): Folder {
  if (typeof source === 'string' ? !source.trim() : typeof source !== 'object' || !source) throw new BadInputError('the source is empty; expected a hub id, a URL or files');
  if (typeof source === 'string' && isHubId(source)) return hubFolder(source, options);
  if (typeof source === 'string' || source instanceof URL) return urlFolder(source, options);
  return fileFolder(source);
}

const PART = '[\\w-][\\w.-]*';
const HUB_ID = new RegExp(`^${PART}(/${PART})?$`);
const HUB_FOLDER = new RegExp(`^/(${PART}/${PART})/resolve/[^/]+/$`);

/** Whether a text has the form of a hub id: a name, or an owner and a name. Paths and URLs do not match. */
export function isHubId(source: string): boolean {
  return HUB_ID.test(source);
}

function hubFolder(id: string, { host = HUB, revision = 'main', sha256, signal }: LoadOptions): Folder {
  const root = host.replace(/\/+$/, '');
  const at = encodeURIComponent(revision);
  let listing: Promise<Map<string, Facts> | undefined> | undefined;
  const renew = () => (listing = undefined);
  // A commit is a revision that never changes.
  const fixed = /^[0-9a-f]{40}$/.test(revision);
  const facts = async (file: string) => {
    listing ??= list(`${root}/api/models/${id}/tree/${at}`, signal);
    const files = await listing;
    return files && (files.get(file) ?? null);
  };
  return {
    name: id,
    id,
    locate: (file) => ({ url: `${root}/${id}/resolve/${at}/${file}`, file, facts: () => facts(file), renew, fixed, sha256: sha256?.[file] }),
  };
}

/**
 * Sizes and hashes of a repository's files; `undefined` if the hub provides no listing. Files are
 * then requested one by one.
 */
function list(url: string, signal: AbortSignal | undefined): Promise<Map<string, Facts> | undefined> {
  return ask(url, {}, signal, async (response) => {
    if (!response.ok) return undefined;
    const entries = (await response.json()) as { path: string; oid?: unknown; size?: unknown; lfs?: { oid?: unknown; size?: unknown } }[];
    const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
    const size = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : undefined);
    return new Map(entries.map(({ path, oid, size: bytes, lfs }) => [path, { size: size(lfs?.size ?? bytes), sha256: text(lfs?.oid), oid: text(lfs?.oid ?? oid) }]));
  });
}

function urlFolder(source: string | URL, { sha256 }: LoadOptions): Folder {
  let root: URL;
  try {
    root = new URL(source, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch {
    throw new BadInputError(`${JSON.stringify(source)} is neither a hub id (owner/name) nor a URL`);
  }
  if (!root.pathname.endsWith('/')) root.pathname += '/';
  // Not the URL itself: adapters are shared, and others may not be able to reach this server.
  const id = hubIdIn(root) ?? root.pathname.split('/').filter(Boolean).pop();
  return { name: id ?? root.host, id, locate: (file) => ({ url: new URL(file + root.search, root).href, file, sha256: sha256?.[file] }) };
}

/** The id in the URL of a folder on a hub. */
function hubIdIn({ pathname }: URL): string | undefined {
  return HUB_FOLDER.exec(pathname)?.[1];
}

function fileFolder(source: Exclude<Source, string | URL>): Folder {
  const files = new Map<string, Blob>();
  if (isList(source)) {
    for (const file of Array.from(source)) files.set(file?.name, toBlob(file?.name, file));
  } else {
    for (const [name, data] of Object.entries(source)) files.set(name, toBlob(name, data));
  }
  if (files.size === 0) throw new BadInputError('no files were given');
  return { name: 'files', id: undefined, locate: (file) => files.get(file) };
}

function isList(source: Exclude<Source, string | URL>): source is readonly File[] | FileList {
  return Array.isArray(source) || (typeof FileList !== 'undefined' && source instanceof FileList);
}

function toBlob(name: string, data: FileData): Blob {
  if (data instanceof Blob) return data;
  if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return new Blob([data as BlobPart]);
  throw new BadInputError(`${name}: expected a Blob, an ArrayBuffer or a Uint8Array`);
}
