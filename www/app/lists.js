/** The user's own lists: pasted or dropped. */

import { parseNbest } from './package.js';
import { state } from './state.js';

/** @import {List} from './types.js' */

/** Use the native tool for larger files. */
const MOST_BYTES = 64e6;

/**
* Pasted text: JSON in any format of lists, or one guess per line with an optional score after a tab.
 * @param {string} text
 * @param {string} ref
 * @param {(note: string) => void} onNote
 * @returns {Promise<List[]>}
 */
export async function pasted(text, ref, onNote) {
  if (text.trim() === '') throw input('Write or paste at least one guess.');
  if (/^\s*(\{|\[\s*[[{])/.test(text)) return read(text.trim(), 'what you pasted', onNote);
  const nbest = text.split('\n').filter((line) => line.trim() !== '').map((line, at) => {
    const [guess = '', number] = line.split('\t');
    const score = number === undefined || number.trim() === '' ? undefined : Number(number);
    if (score !== undefined && !Number.isFinite(score)) throw input(`Line ${at + 1}: “${number}” after the tab is not a number.`);
    return { text: guess.trim(), ...(score === undefined ? {} : { score }) };
  });
  if (nbest.length > 200) throw input(`${nbest.length} guesses; a list can have at most 200.`);
  return [{ id: 'pasted', nbest, ...(ref.trim() ? { ref: ref.trim() } : {}) }];
}

/**
 * @param {File} file
 * @param {(note: string) => void} onNote
 * @returns {Promise<List[]>}
 */
export async function dropped(file, onNote) {
  if (file.size > MOST_BYTES) throw input(`${file.name} is larger than 64 MB. The native tool reads files of any size.`);
  return read(file, file.name, onNote);
}

/** @param {string | Blob} data @param {string} name @param {(note: string) => void} onNote */
async function read(data, name, onNote) {
  const lists = await (state.rescorer ? state.rescorer.parseNbest(data, name, { onNote }) : parseNbest(data, name, { onNote }));
  return /** @type {List[]} */ (lists);
}

/** @param {string} message */
function input(message) {
  const error = new Error(message);
  error.name = 'BadInputError';
  return error;
}
