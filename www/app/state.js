/** State shared by the parts of the page, and its change notifications. */

/** @import {AdapterInfo, List} from './types.js' */

export const state = {
  /** @type {import('../lorb/index.js').Rescorer | null} */
  rescorer: null,
  /** Name of the loaded base in a command line. */
  baseName: '',
  /** The operation that occupies the worker. @type {'tuning' | 'comparing' | null} */
  busy: null,
  /** Lists from the user's file. @type {List[]} */
  file: [],
  fileName: '',
};

/** @typedef {'model' | 'adapters' | 'active' | 'busy' | 'file' | 'lessons'} Topic */

const bus = new EventTarget();

/** @param {Topic} topic */
export function changed(topic) {
  bus.dispatchEvent(new Event(topic));
}

/** @param {Topic[]} topics @param {() => void} then */
export function on(topics, then) {
  for (const topic of topics) bus.addEventListener(topic, then);
}

/** @returns {AdapterInfo[]} */
export function adapters() {
  return state.rescorer?.adapters() ?? [];
}

/** @param {typeof state.busy} what */
export function occupy(what) {
  state.busy = what;
  changed('busy');
}

/** An adapter's weights, `null` if there is no such adapter. Adapters from PEFT have no tuned weights; beta is then 1. */
export function weights(adapter = state.rescorer?.activeAdapter) {
  const info = adapters().find(({ name }) => name === adapter);
  return info ? { beta: info.beta ?? 1, gamma: info.gamma ?? 0 } : null;
}

/** The same as an option of the package's calls. */
export function given(adapter = state.rescorer?.activeAdapter) {
  const taken = weights(adapter);
  return taken ? { weights: taken } : {};
}

/** Activates an adapter, or none. @param {string | null} name */
export function activate(name) {
  if (!state.rescorer) return;
  if (name === null) state.rescorer.disableAdapters();
  else state.rescorer.setAdapter(name);
  changed('active');
}
