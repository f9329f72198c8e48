/** The sample lists and ready-made adapters that come with the page. */

/** @import {List} from './types.js' */

/** SHA-256 of the weights of all-MiniLM-L6-v2. */
export const MINILM_HASH = '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db';

/** The name under which the page's server offers the base of the repository. */
export const BUILT_IN = 'built-in';

/** @type {Record<string, string>} */
export const READY_MADE = { assistant: 'Assistant', dictation: 'Dictation' };

/** @type {Map<string, Promise<List[]>>} */
const loaded = new Map();

/** @param {string} domain @param {'try' | 'train' | 'dev' | 'held'} kind @returns {Promise<List[]>} */
export function samples(domain, kind) {
  const name = `data/${domain}-${kind}.json`;
  let lists = loaded.get(name);
  if (!lists) {
    lists = json(name);
    loaded.set(name, lists);
    lists.catch(() => loaded.delete(name));
  }
  return lists;
}

/** @param {string} name */
async function json(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  return response.json();
}

/** The folder of the ready-made adapters of a base, if it has any. @param {string} hash @param {string} name */
export function readyMadeFor(hash, name) {
  if (hash === MINILM_HASH) return 'minilm';
  return name === BUILT_IN ? BUILT_IN : undefined;
}

/** The two files of a ready-made adapter. @param {string} base @param {string} domain */
export async function readyMade(base, domain) {
  const folder = `adapters/${base}/${domain}`;
  const files = ['adapter_config.json', 'adapter_model.safetensors'];
  const entries = files.map(async (file) => {
    const response = await fetch(`${folder}/${file}`);
    if (!response.ok) throw new Error(`${folder}/${file}: the server answered ${response.status}`);
    return [file, await response.blob()];
  });
  return Object.fromEntries(await Promise.all(entries));
}
