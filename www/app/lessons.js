/** Training data of a run: sample lists, the user's corrections, or both. */

import { plural } from './format.js';
import { lessons } from './corrections.js';
import { samples } from './samples.js';

/** @import {List} from './types.js' */
/** @typedef {{train: List[], dev: List[]}} Lessons */

/** Every fourth correction is held out as dev data to select the best checkpoint. */
const DEV_EVERY = 4;
/** The least number of corrections that allows this. */
const FEWEST = 8;

/** @returns {[value: string, label: string][]} */
export function choices() {
  const own = lessons().length;
  /** @type {[string, string][]} */
  const offered = [
    ['assistant:200', 'Assistant samples, 200 lists'],
    ['assistant:60', 'Assistant samples, 60 lists'],
    ['dictation:200', 'Dictation samples, 200 lists'],
    ['dictation:60', 'Dictation samples, 60 lists'],
  ];
  if (own > 0) offered.unshift(['own+assistant:200', `Your ${plural(own, 'correction')} and 200 assistant samples`]);
  if (own >= FEWEST) offered.unshift(['own', `Only your ${own} corrections`]);
  return offered;
}

/** The text below the selection. @param {string} choice */
export function describe(choice) {
  const own = lessons().length;
  if (choice === 'own') return `Every fourth correction is held out to evaluate the run. With ${own} corrections, expect at most a small gain.`;
  const count = Number(choice.split(':')[1]);
  const more = choice.startsWith('own') ? `, and ${own} of your own` : '';
  const wish = own > 0 && own < FEWEST ? ` With ${FEWEST - own} more corrections, you can train only on your own.` : '';
  return `${count} sample lists of ten guesses each${more}; 60 others are held out to evaluate the run.${wish}`;
}

/** @param {string} choice @returns {Promise<Lessons>} */
export async function gather(choice) {
  const own = [...lessons()];
  const mine = { train: own.filter((_, at) => at % DEV_EVERY !== 0), dev: own.filter((_, at) => at % DEV_EVERY === 0) };
  if (choice === 'own') return mine;
  const [domain = 'assistant', count = '200'] = choice.replace('own+', '').split(':');
  const [train, dev] = await Promise.all([samples(domain, 'train'), samples(domain, 'dev')]);
  const chosen = train.slice(0, Number(count));
  return { train: choice.startsWith('own+') ? [...chosen, ...own] : chosen, dev };
}
