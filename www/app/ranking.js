/** Shows the guesses of one list in order, with animated moves. */

import { el, stillness } from './dom.js';
import { marked, wordErrors } from './difference.js';
import { score } from './format.js';
import { NAMES, bars, centred, present, reach } from './parts.js';

/** @import {List, Ranked} from './types.js' */

const GLIDE = { duration: 650, easing: 'cubic-bezier(0.3, 0, 0.1, 1)' };

/**
 * @param {HTMLElement} where
 * @param {List} list
 * @param {Ranked[]} ranked best first
 * @param {{weights: {beta: number, gamma: number} | null, glide: boolean}} how
 */
export function showRanking(where, list, ranked, { weights, glide }) {
  const before = places(where);
  const parts = centred(ranked, weights);
  const longest = reach(parts);
  const rows = ranked.map((guess, at) => row(list, guess, at, weights !== null, bars(parts[at] ?? { first: 0, lm: 0, words: 0 }, longest, present(weights))));
  where.replaceChildren(...rows);
  if (!glide || stillness.matches) return;
  for (const element of rows) {
    const old = before.get(element.dataset.index ?? '');
    if (old === undefined) continue;
    const shift = old - element.offsetTop;
    if (shift !== 0) element.animate([{ transform: `translateY(${shift}px)` }, { transform: 'none' }], GLIDE);
  }
}

/** @param {HTMLElement} where */
function places(where) {
  const found = new Map();
  for (const child of where.children) if (child instanceof HTMLElement) found.set(child.dataset.index ?? '', child.offsetTop);
  return found;
}

/** @param {List} list @param {Ranked} guess @param {number} at @param {boolean} rescored @param {HTMLElement} scores */
function row(list, guess, at, rescored, scores) {
  const moved = guess.index - at;
  const place = el('div', { class: 'place' }, el('span', {}, el('span', { class: 'visually-hidden' }, 'Place '), String(at + 1)));
  if (rescored && moved !== 0) {
    const [sign, way] = moved > 0 ? ['▲', 'up'] : ['▼', 'down'];
    const spoken = `, ${way} by ${Math.abs(moved)}`;
    place.append(el('span', { class: 'move', 'data-way': way }, el('span', { 'aria-hidden': 'true' }, `${sign}${Math.abs(moved)}`), el('span', { class: 'visually-hidden' }, spoken)));
  }
  const against = list.ref ?? list.nbest[0]?.text ?? guess.text;
  const text = el('p', { class: 'text' }, marked(guess.text, against, 'bad'));
  const item = el('li', { class: `guess${at === 0 ? ' top' : ''}${rescored ? '' : ' plain'}`, 'data-index': String(guess.index) }, place, text);
  if (list.ref) {
    const errors = wordErrors(list.ref, guess.text);
    item.append(el('p', { class: errors === 0 ? 'errors none' : 'errors' }, errors === 0 ? '✓ correct' : `${errors} wrong ${errors === 1 ? 'word' : 'words'}`));
  } else item.append(el('span'));
  item.append(scores);
  return item;
}

/** The legend of the bars. @param {HTMLElement} where @param {{beta: number, gamma: number} | null} weights @param {boolean} reference */
export function showLegend(where, weights, reference) {
  const keys = present(weights).map((part) => el('span', {}, el('span', { class: 'swatch', 'data-part': part }), NAMES[part].long));
  const words = !weights || weights.gamma === 0 ? '' : ` ${weights.gamma < 0 ? '−' : '+'} ${Math.abs(weights.gamma).toFixed(2)} × words`;
  const formula = weights ? `Score = recogniser + ${weights.beta.toFixed(2)} × adapter${words}.` : 'No adapter is active: this is the recogniser’s order.';
  const meaning = `Bars show each term relative to the list’s mean, in nats; bars to the right favour a guess. Marked words ${reference ? 'are wrong' : 'differ from the recogniser’s first guess'}.`;
  where.replaceChildren(...keys, el('span', { class: 'whole-line' }, `${formula} ${meaning}`));
}

/** @param {HTMLTableElement} table @param {Ranked[]} ranked */
export function showTable(table, ranked) {
  const head = ['Place', 'Before', 'Guess', 'Score', 'Recogniser', 'Adapter'];
  const cells = ranked.map(({ text, index, score: total, first, lm }, at) => [String(at + 1), String(index + 1), text, score(total), score(first), score(lm)]);
  const style = (/** @type {number} */ at) => (at === 2 ? { class: 'text' } : {});
  table.replaceChildren(
    el('thead', {}, el('tr', {}, ...head.map((name, at) => el('th', { scope: 'col', ...style(at) }, name)))),
    el('tbody', {}, ...cells.map((line) => el('tr', {}, ...line.map((cell, at) => el('td', style(at), cell))))),
  );
}
