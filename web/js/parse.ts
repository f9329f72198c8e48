/** N-best lists from files of any format that the core reads. */

import { Engine, type WorkerFactory } from './engine.js';
import { throwIfAborted } from './errors.js';
import { checkOptions } from './options.js';
import type { Contents, List, Params } from './protocol.js';

/**
 * Lists as a page has them: the text of a file, a file (plain or gzip), or the files of a folder,
 * by their paths or as a folder picker gives them.
 */
export type ListData = string | Blob | Record<string, string | Blob> | readonly File[] | FileList;

export interface ListOptions {
  /** A format by the name that `lorb rescore --format` takes, such as `jsonl` or `espnet`; detected if omitted. */
  format?: string;
  /** References in a separate file, an utterance id and its words on each line. They replace those of the lists. */
  references?: string | Blob;
  /** NeMo's manifest, for the text of its beams. */
  manifest?: string | Blob;
  /** The key of a hypothesis that holds its score, or the name of one of its parts; `score` if omitted. For JSON lines only. */
  scoreKey?: string;
  /** What the scores of JSON lines are, `logprob` if omitted. The lists that are returned have log-probabilities. */
  scoreKind?: ScoreKind;
  /** Factor of the acoustic scores of Kaldi's folders; 0.1 if omitted. */
  acousticScale?: number;
  /** Called with what the user should know about the data, such as where the references were found. */
  onNote?: (note: string) => void;
  signal?: AbortSignal;
}

/** Natural log-probabilities (higher is better), costs (lower is better), or probabilities from 0 to 1. */
export type ScoreKind = 'logprob' | 'cost' | 'prob';

export interface ParseOptions extends ListOptions {
  /** As in `Rescorer.fromPretrained`. */
  worker?: () => Worker;
}

/**
 * Reads lists with the readers of the native tool; errors name file and line. Runs in its own
 * worker, which needs no base and no GPU; `rescorer.parseNbest` uses the existing worker.
 */
export async function parseNbest(data: ListData, name = 'lists', options: ParseOptions = {}): Promise<List[]> {
  const { signal, worker } = options;
  const params = await readLists(data, name, options);
  throwIfAborted(signal);
  const engine = new Engine(worker as WorkerFactory | undefined);
  try {
    const { lists, notes } = await engine.call('text.parse', params, { signal });
    for (const note of notes) options.onNote?.(note);
    return lists;
  } finally {
    engine.terminate();
  }
}

/** What the worker is given: texts as they are, files as bytes. The core decompresses and decodes them. */
export async function readLists(data: ListData, name: string, options: ListOptions): Promise<Params<'text.parse'>> {
  const { format, references, manifest, scoreKey, scoreKind, acousticScale } = checkOptions('parseNbest', options);
  const files = typeof data === 'string' || data instanceof Blob ? await contents(data) : await readAll(folder(data));
  const given = async (file?: string | Blob) => (file === undefined ? undefined : contents(file));
  return { files, name, format, references: await given(references), manifest: await given(manifest), scoreKey, scoreKind, acousticScale };
}

/** Files by path. A folder picker puts the folder's own name before each path. */
function folder(data: Record<string, string | Blob> | readonly File[] | FileList): [string, string | Blob][] {
  if (!isFiles(data)) return Object.entries(data);
  return Array.from(data, (file) => [file.webkitRelativePath.split('/').slice(1).join('/') || file.name, file]);
}

function isFiles(data: object): data is readonly File[] | FileList {
  return Array.isArray(data) || (typeof FileList !== 'undefined' && data instanceof FileList);
}

function readAll(files: [string, string | Blob][]): Promise<[string, Contents][]> {
  return Promise.all(files.map(async ([path, data]): Promise<[string, Contents]> => [path, await contents(data)]));
}

async function contents(data: string | Blob): Promise<Contents> {
  return typeof data === 'string' ? data : new Uint8Array(await data.arrayBuffer());
}
