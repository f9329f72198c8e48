/** What the parts of the page share, and how they hear of each other. */

/** @import {AdapterInfo, List} from './types.js' */

export const state = {
  /** @type {import('../lorb/index.js').Rescorer | null} */
  rescorer: null,
  /** How a command line names the loaded base. */
  baseName: '',
  /** What keeps the worker from other work. @type {'tuning' | 'comparing' | null} */
  busy: null,
  /** Lists of the file that the visitor dropped. @type {List[]} */
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

/** The weights of the active adapter's score, `null` where none is active. One that PEFT wrote has none yet: 1 is taken then. */
export function weights() {
  const info = adapters().find(({ name }) => name === state.rescorer?.activeAdapter);
  return info ? { beta: info.beta ?? 1, gamma: info.gamma ?? 0 } : null;
}

/** The same as an option of the package's calls. */
export function given() {
  const taken = weights();
  return taken ? { weights: taken } : {};
}

/** Makes an adapter the active one, or none. @param {string | null} name */
export function activate(name) {
  if (!state.rescorer) return;
  if (name === null) state.rescorer.disableAdapters();
  else state.rescorer.setAdapter(name);
  changed('active');
}
