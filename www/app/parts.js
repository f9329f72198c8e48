/** The terms of a score: first + beta·lm + gamma·words, each relative to the mean of its list. */

import { el, svg } from './dom.js';
import { signed } from './format.js';

/** @import {Ranked} from './types.js' */
/** @typedef {'first' | 'lm' | 'words'} Part */
/** @typedef {Record<Part, number>} Parts */

/** @type {Record<Part, {short: string, long: string}>} */
export const NAMES = {
  first: { short: 'Recogniser', long: 'recogniser' },
  lm: { short: 'Adapter', long: 'adapter: beta times its score' },
  words: { short: 'Words', long: 'words: gamma times their number' },
};
/** @type {Part[]} */
const ORDER = ['first', 'lm', 'words'];

/**
* The terms of every score, in nats. Only differences within a list affect its order, so the mean is subtracted.
 * @param {Ranked[]} ranked
 * @param {{beta: number, gamma: number} | null} weights
 * @returns {Parts[]}
 */
export function centred(ranked, weights) {
  const raw = ranked.map(({ first, lm, text }) => ({
    first: first ?? 0,
    lm: weights && lm !== null ? weights.beta * lm : 0,
    words: weights ? weights.gamma * text.split(/\s+/).filter(Boolean).length : 0,
  }));
  const mean = (/** @type {Part} */ part) => raw.reduce((sum, parts) => sum + parts[part], 0) / Math.max(1, raw.length);
  const means = { first: mean('first'), lm: mean('lm'), words: mean('words') };
  return raw.map((parts) => ({ first: parts.first - means.first, lm: parts.lm - means.lm, words: parts.words - means.words }));
}

/** The terms of a score: those whose weight is not 0. @param {{gamma: number} | null} weights @returns {Part[]} */
export function present(weights) {
  if (!weights) return ['first'];
  return weights.gamma === 0 ? ['first', 'lm'] : ['first', 'lm', 'words'];
}

/** The longest bar in a list. @param {Parts[]} all */
export function reach(all) {
  return Math.max(1e-9, ...all.flatMap((parts) => ORDER.map((part) => Math.abs(parts[part]))));
}

/**
* Small bars around the list's mean: to the right in favour of the guess, to the left against it.
 * @param {Parts} parts
 * @param {number} longest
 * @param {Part[]} which
 */
export function bars(parts, longest, which) {
  const row = el('div', { class: 'scores' });
  for (const part of which) {
    const value = parts[part];
    const width = (50 * Math.abs(value)) / longest;
    const drawing = svg('svg', { viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      svg('rect', { class: 'track', x: 0, y: 0, width: 100, height: 6, rx: 1 }),
      svg('rect', { class: 'fill', x: value < 0 ? 50 - width : 50, y: 0, width, height: 6 }),
      svg('line', { class: 'axis', x1: 50, x2: 50, y1: -1, y2: 7 }));
    const label = el('div', { class: 'part-label' }, el('span', {}, NAMES[part].short), el('b', {}, signed(value)));
    row.append(el('div', { class: 'part-bar', 'data-part': part }, label, drawing));
  }
  return row;
}
