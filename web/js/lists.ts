/** Converts all accepted forms of an N-best list to the one that the worker takes. */

import { BadInputError } from './errors.js';
import type { List } from './protocol.js';
import { fromSpeech, isSpeechResult } from './speech.js';
import type { Hypothesis, NBest, Utterance } from './types.js';

/**
 * Checks only the shape; the core checks limits, scores and empty lists. A list without an id is
 * named by its position, from 1. Only this file numbers lists: the core receives the name with the
 * list.
 */
export function toList(list: NBest, at: number): List {
  if (isSpeechResult(list)) return { id: name(at), nbest: fromSpeech(list) };
  if (Array.isArray(list)) return { id: name(at), nbest: hypotheses(list, name(at)) };
  const { id, ref, nbest } = utterance(list, at);
  return { id, ref: ref ?? null, nbest: hypotheses(nbest, id) };
}

/** Like `toList`, but keeps all other keys of the list. */
export function toWholeList(list: NBest, at: number): List {
  if (isSpeechResult(list) || Array.isArray(list)) return toList(list, at);
  const given = utterance(list, at);
  const checked = hypotheses(given.nbest, given.id);
  const whole = (hypothesis: Hypothesis | string, at: number) => (typeof hypothesis === 'string' ? checked[at]! : { ...hypothesis, ...checked[at]! });
  return { ...given, nbest: given.nbest.map(whole) };
}

export function toLists(lists: readonly NBest[], what: string, convert: (list: NBest, at: number) => List = toList): List[] {
  if (!Array.isArray(lists)) throw new BadInputError(`${what}: expected an array of N-best lists`);
  return lists.map(convert);
}

function utterance(list: NBest, at: number): Utterance & { id: string } {
  const given = (list ?? {}) as Utterance;
  if (!Array.isArray(given.nbest)) {
    throw new BadInputError(`${named(given.id ?? name(at))}: expected texts, {text, score?} objects, {nbest} or a SpeechRecognitionResult`);
  }
  return { ...given, id: String(given.id ?? name(at)) };
}

/** How errors name an utterance, here and in the core. */
function named(id: unknown): string {
  return `utterance ${JSON.stringify(String(id))}`;
}

function name(at: number): string {
  return `list-${at + 1}`;
}

function hypotheses(list: readonly (Hypothesis | string)[], id: string): { text: string; score?: number | null }[] {
  return list.map((hypothesis, at) => {
    if (typeof hypothesis === 'string') return { text: hypothesis };
    const { text, score } = (hypothesis ?? {}) as Partial<Hypothesis>;
    if (typeof text !== 'string') throw new BadInputError(`${named(id)}, hypothesis ${at + 1}: has no text`);
    if (score === undefined || score === null) return { text };
    if (typeof score !== 'number' || !Number.isFinite(score)) {
      throw new BadInputError(`${named(id)}, hypothesis ${at + 1}: the score is ${String(score)}; expected a log-probability`);
    }
    return { text, score };
  });
}
