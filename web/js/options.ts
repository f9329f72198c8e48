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
  progress_callback: CALLABLE,
  signal: ['an AbortSignal', (value) => typeof value?.aborted === 'boolean' && typeof value.addEventListener === 'function'],
  cache: ['null or an object with `match` and `put`', (value) => value === null || (typeof value?.match === 'function' && typeof value.put === 'function')],
  refresh: FLAG,
  local_files_only: FLAG,
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
};

const LOAD = ['revision', 'host', 'progress_callback', 'signal', 'cache', 'refresh', 'local_files_only', 'sha256'];
const CALL = ['signal', 'batchTokens', 'onProgress'];
const TEXTS = [...CALL, 'adapter', 'normalize', 'unit', 'join'];

/** The options of each function. Those without a rule are checked where they are used. */
const KNOWN = {
  fromPretrained: [...LOAD, 'baseName', 'worker', 'device', 'dtype', 'adapter'],
  loadAdapter: [...LOAD, 'name', 'activate'],
  encode: CALL,
  score: TEXTS,
  rescore: [...TEXTS, 'weights'],
  rerank: [...TEXTS, 'weights'],
  evaluate: [...TEXTS, 'weights', 'seed'],
  tune: [...TEXTS, 'gamma', 'parts'],
  run: ['signal', 'checkpoint'],
};

/** Throws a `BadInputError` for an option that `what` does not have or whose value is invalid. */
export function checkOptions(what: keyof typeof KNOWN, options: object): void {
  if (typeof options !== 'object' || options === null) throw new BadInputError(`${what}: expected an object of options`);
  for (const [key, value] of Object.entries(options)) {
    if (!KNOWN[what].includes(key)) throw new BadInputError(`${what}: unknown option ${JSON.stringify(key)}`);
    const rule = RULES[key];
    if (value !== undefined && rule && !rule[1](value)) throw new BadInputError(`${what}: ${key} is ${shown(value)}; expected ${rule[0]}`);
  }
  const { refresh, local_files_only: localOnly } = options as { refresh?: unknown; local_files_only?: unknown };
  if (refresh && localOnly) throw new BadInputError(`${what}: refresh and local_files_only exclude each other`);
}

/** Settings of a run: the core checks ranges, but a number that JSON does not have would reach it as null. */
export function checkNumbers(options: object): void {
  for (const [key, value] of Object.entries(options)) {
    if (typeof value === 'number' && !finite(value)) throw new BadInputError(`${key} is ${value}; expected a finite number`);
    if (typeof value === 'function' || typeof value === 'symbol') throw new BadInputError(`${key} is a ${typeof value}; expected a setting`);
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : typeof value === 'object' && value !== null ? 'an object' : String(value);
}
