/** Marks the words of a text that differ from another text. */

import { el } from './dom.js';
import { alignWords } from './package.js';

/**
* `text` as an element, with the words marked that `against` lacks. Deleted words are shown as gaps.
 * @param {string} text
 * @param {string} against
 * @param {'bad' | 'good'} kind
 */
export function marked(text, against, kind) {
  const line = el('span');
  const words = alignWords(against, text);
  words.forEach((word, at) => {
    if (at > 0) line.append(' ');
    if (word.op === 'equal') line.append(word.hyp ?? '');
    else if (word.op === 'delete') line.append(el('mark', { class: kind, title: `deleted: ${word.ref}` }, gap(word.ref ?? '')));
    else line.append(el('mark', { class: kind }, word.hyp ?? ''));
  });
  return line;
}

/** @param {string} word */
function gap(word) {
  const shown = el('span', { 'aria-hidden': 'true' }, '␣');
  const spoken = el('span', { class: 'visually-hidden' }, `(${word} deleted)`);
  const both = el('span');
  both.append(shown, spoken);
  return both;
}

/** Word errors of a text. @param {string} reference @param {string} text */
export function wordErrors(reference, text) {
  return alignWords(reference, text).filter(({ op }) => op !== 'equal').length;
}
