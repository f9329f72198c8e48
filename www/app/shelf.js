/** Stores adapters and the unfinished run in the origin private file system. */

import { AdapterStore } from './package.js';

/** @import {AdapterFiles} from '../lorb/index.js' */

const ADAPTER = 'adapter ';
const RUN = 'run';

/** @type {Promise<AdapterStore> | undefined} */
let opened;

function store() {
  opened ??= AdapterStore.open('lorb-page');
  return opened;
}

/** @param {string} name @param {AdapterFiles} files */
export async function keepAdapter(name, files) {
  await (await store()).save(ADAPTER + name, { ...files });
}

/** @param {string} name */
export async function dropAdapter(name) {
  await (await store()).delete(ADAPTER + name);
}

/** @returns {Promise<[name: string, files: Record<string, Blob>][]>} */
export async function keptAdapters() {
  const shelf = await store();
  const names = (await shelf.list()).filter((key) => key.startsWith(ADAPTER));
  const all = await Promise.all(names.map(async (key) => [key.slice(ADAPTER.length), await shelf.load(key)]));
  return /** @type {[string, Record<string, Blob>][]} */ (all.filter(([, files]) => files !== undefined));
}

/**
* A run that can be resumed: settings, data and checkpoint.
 * @typedef {{base: string, options: import('./types.js').TrainOptions, train: import('./types.js').List[], dev: import('./types.js').List[],
 *   step: number, steps: number, history: import('./types.js').TrainMessage[]}} RunNotes
 */

/** @param {RunNotes} notes @param {Uint8Array} checkpoint */
export async function keepRun(notes, checkpoint) {
  const json = new Blob([JSON.stringify(notes)], { type: 'application/json' });
  await (await store()).save(RUN, { 'run.json': json, checkpoint });
}

/** @returns {Promise<{notes: RunNotes, checkpoint: Uint8Array} | undefined>} */
export async function keptRun() {
  const files = await (await store()).load(RUN);
  const [json, checkpoint] = [files?.['run.json'], files?.['checkpoint']];
  if (!json || !checkpoint) return undefined;
  return { notes: JSON.parse(await json.text()), checkpoint: new Uint8Array(await checkpoint.arrayBuffer()) };
}

export async function dropRun() {
  await (await store()).delete(RUN);
}
