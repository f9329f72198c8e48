/** Converts all accepted forms of an N-best list to the one that the worker takes. */

import { BadInputError } from './errors.js';
import type { List } from './protocol.js';
import { fromSpeech, isSpeechResult } from './speech.js';
import type { Hypothesis, NBest, Utterance } from './types.js';

/** Checks only the shape; the core checks limits, scores and empty lists. */
export function toList(list: NBest, at: number): List {
  if (isSpeechResult(list)) return { id: name(at), nbest: fromSpeech(list) };
  if (Array.isArray(list)) return { id: name(at), nbest: hypotheses(list, name(at)) };
  const { id = name(at), ref, nbest } = (list ?? {}) as Utterance;
  if (!Array.isArray(nbest)) {
    throw new BadInputError(`list ${name(at)}: expected texts, {text, score?} objects, {nbest} or a SpeechRecognitionResult`);
  }
  return { id: String(id), ref: ref ?? null, nbest: hypotheses(nbest, String(id)) };
}

export function toLists(lists: readonly NBest[], what: string): List[] {
  if (!Array.isArray(lists)) throw new BadInputError(`${what}: expected an array of N-best lists`);
  return lists.map(toList);
}

function name(at: number): string {
  return `list-${at + 1}`;
}

function hypotheses(list: readonly (Hypothesis | string)[], id: string): { text: string; score?: number | null }[] {
  return list.map((hypothesis, at) => {
    if (typeof hypothesis === 'string') return { text: hypothesis };
    const { text, score } = (hypothesis ?? {}) as Partial<Hypothesis>;
    if (typeof text !== 'string') throw new BadInputError(`${id}: hypothesis ${at + 1} has no text`);
    if (score === undefined || score === null) return { text };
    if (typeof score !== 'number' || !Number.isFinite(score)) {
      throw new BadInputError(`${id}: the score of hypothesis ${at + 1} is ${String(score)}; expected a log-probability`);
    }
    return { text, score };
  });
}
