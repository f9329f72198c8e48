/** JSON-lines files. */

import { Engine, type WorkerFactory } from './engine.js';
import { throwIfAborted } from './errors.js';
import type { List } from './protocol.js';

export interface ParseOptions {
  signal?: AbortSignal;
  /** As in `Rescorer.fromPretrained`. */
  worker?: () => Worker;
}

/**
 * Parses lists from JSON lines, plain or gzip, with the reader of the native tool. Errors name file and line. Runs in its own
 * worker, which needs no base and no GPU; `rescorer.parseNbest` uses the existing worker.
 */
export async function parseNbest(data: string | Blob, name = 'lists', { signal, worker }: ParseOptions = {}): Promise<List[]> {
  const text = await readText(data);
  throwIfAborted(signal);
  const engine = new Engine(worker as WorkerFactory | undefined);
  try {
    return await engine.call('text.parse', { text, name }, { signal });
  } finally {
    engine.terminate();
  }
}

/** The text of a file, decompressed if it is gzip. */
export async function readText(data: string | Blob): Promise<string> {
  if (typeof data === 'string') return data;
  const magic = new Uint8Array(await data.slice(0, 2).arrayBuffer());
  if (magic[0] !== 0x1f || magic[1] !== 0x8b) return data.text();
  return new Response(data.stream().pipeThrough(new DecompressionStream('gzip'))).text();
}
