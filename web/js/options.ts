/** Checks options before they are sent to the worker. */

import { BadInputError } from './errors.js';

type Rule = [expected: string, holds: (value: any) => boolean];

const TEXT: Rule = ['a string that is not empty', (value) => typeof value === 'string' && value !== ''];
const FLAG: Rule = ['true or false', (value) => typeof value === 'boolean'];
const CALLABLE: Rule = ['a function', (value) => typeof value === 'function'];
const oneOf = (...names: string[]): Rule => [`one of ${names.join(', ')}`, (value) => names.includes(value)];
const finite = (value: unknown) => Number.isFinite(value);
const finiteByName = (value: unknown) => typeof value === 'object' && value !== null && Object.values(value).every(finite);

const RULES: Record<string, Rule> = {
  revision: TEXT,
  host: ['a URL', (value) => typeof value === 'string' && /^https?:\/\/./.test(value)],
  progressCallback: CALLABLE,
  signal: ['an AbortSignal', (value) => typeof value?.aborted === 'boolean' && typeof value.addEventListener === 'function'],
  cache: ['null or an object with `match` and `put`', (value) => value === null || (typeof value?.match === 'function' && typeof value.put === 'function')],
  refresh: FLAG,
  localFilesOnly: FLAG,
  sha256: ['hashes by file name', (value) => typeof value === 'object' && value !== null && Object.values(value).every((hash) => typeof hash === 'string')],
  baseName: TEXT,
  worker: CALLABLE,
  name: TEXT,
  activate: FLAG,
  batchTokens: ['a positive whole number', (value) => Number.isSafeInteger(value) && value > 0],
  onProgress: CALLABLE,
  weights: [
    '{beta, gamma?, parts?} with finite numbers',
    (value) => finite(value?.beta) && (value.gamma === undefined || finite(value.gamma)) && (value.parts === undefined || finiteByName(value.parts)),
  ],
  seed: ['a whole number from 0', (value) => Number.isSafeInteger(value) && value >= 0],
  gamma: FLAG,
  parts: FLAG,
  normalize: oneOf('none', 'lower', 'basic', 'whisper'),
  unit: oneOf('word', 'char', 'mixed'),
  join: FLAG,
  checkpoint: ['the bytes of a checkpoint', (value) => value instanceof Uint8Array],
  format: TEXT,
  scoreKey: TEXT,
  scoreKind: oneOf('logprob', 'cost', 'prob'),
  acousticScale: ['a finite number', finite],
  onNote: CALLABLE,
};

/** Names of transformers.js, and ours. */
const ALIASES: Record<string, string> = { progress_callback: 'progressCallback', local_files_only: 'localFilesOnly' };

const LOAD = ['revision', 'host', 'progressCallback', 'signal', 'cache', 'refresh', 'localFilesOnly', 'sha256'];
const CALL = ['signal', 'batchTokens', 'onProgress'];
const TEXTS = [...CALL, 'adapter', 'normalize', 'unit', 'join'];
const LISTS = ['format', 'references', 'manifest', 'scoreKey', 'scoreKind', 'acousticScale', 'onNote', 'signal', 'worker'];

/** The options of each function. Those without a rule are checked where they are used. */
const KNOWN = {
  fromPretrained: [...LOAD, 'baseName', 'worker', 'device', 'dtype', 'adapter'],
  stored: [...LOAD, 'baseName', 'worker', 'device', 'dtype', 'adapter'],
  loadAdapter: [...LOAD, 'name', 'activate'],
  encode: CALL,
  tokenCounts: CALL,
  parseNbest: LISTS,
  score: TEXTS,
  rescore: [...TEXTS, 'weights'],
  rerank: [...TEXTS, 'weights'],
  evaluate: [...TEXTS, 'weights', 'seed'],
  tune: [...TEXTS, 'gamma', 'parts'],
  run: ['signal', 'checkpoint'],
};

/** The options by their own names, without undefined ones. Throws a `BadInputError` for an option that `what` does not have or whose value is invalid. */
export function checkOptions<T extends object>(what: keyof typeof KNOWN, options: T): T {
  if (typeof options !== 'object' || options === null) throw new BadInputError(`${what}: expected an object of options`);
  const checked: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    const name = ALIASES[key] ?? key;
    if (!KNOWN[what].includes(name)) throw new BadInputError(`${what}: unknown option ${JSON.stringify(key)}`);
    if (value === undefined) continue;
    const rule = RULES[name];
    if (rule && !rule[1](value)) throw new BadInputError(`${what}: ${key} is ${shown(value)}; expected ${rule[0]}`);
    checked[name] = value;
  }
  if (checked.refresh && checked.localFilesOnly) throw new BadInputError(`${what}: refresh and localFilesOnly exclude each other`);
  return checked as T;
}

/** Settings of a run: the core checks ranges, but a number that JSON does not have would reach it as null. */
export function checkTraining(options: object): void {
  if (typeof options !== 'object' || options === null) throw new BadInputError('createTrainer: expected an object of options');
  for (const [key, value] of Object.entries(options)) {
    if (['adapter', 'from'].includes(key) && value !== undefined && !TEXT[1](value)) throw new BadInputError(`createTrainer: ${key} is ${shown(value)}; expected ${TEXT[0]}`);
    if (typeof value === 'number' && !finite(value)) throw new BadInputError(`${key} is ${value}; expected a finite number`);
    if (typeof value === 'function' || typeof value === 'symbol') throw new BadInputError(`${key} is a ${typeof value}; expected a setting`);
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : typeof value === 'object' && value !== null ? 'an object' : String(value);
}
