/** Converts all accepted forms of an N-best list to the one that the worker takes. */

import { BadInputError } from './errors.js';
import type { List } from './protocol.js';
import { fromResult } from './results.js';
import type { Hypothesis, NBest, Utterance } from './types.js';

/**
 * Checks only the shape; the core checks limits, scores and empty lists. A list without an id is
 * named by its position, from 1. Only this file numbers lists: the core receives the name with the
 * list.
 */
export function toList(list: NBest, at: number): List {
  const result = fromResult(list);
  if (result) return { ...identity(list as Partial<Utterance>, at), nbest: hypotheses(result, name(at)) };
  if (Array.isArray(list)) return { id: name(at), nbest: hypotheses(list, name(at)) };
  const { id, ref, nbest } = utterance(list as Utterance, at);
  return { id, ref: ref ?? null, nbest: hypotheses(nbest, id) };
}

/** Id and reference that were added to a result object. */
function identity({ id, ref }: Partial<Utterance>, at: number): { id: string; ref?: string } {
  return { id: String(id ?? name(at)), ...(typeof ref === 'string' ? { ref } : {}) };
}

/** Like `toList`, but keeps all other keys of the list. */
export function toWholeList(list: NBest, at: number): List {
  if (Array.isArray(list) || fromResult(list)) return toList(list, at);
  const given = utterance(list as Utterance, at);
  const checked = hypotheses(given.nbest, given.id);
  const whole = (hypothesis: Hypothesis | string, at: number) => (typeof hypothesis === 'string' ? checked[at]! : { ...hypothesis, ...checked[at]! });
  return { ...given, nbest: given.nbest.map(whole) };
}

export function toLists(lists: readonly NBest[], what: string, convert: (list: NBest, at: number) => List = toList): List[] {
  if (!Array.isArray(lists)) throw new BadInputError(`${what}: expected an array of N-best lists`);
  return lists.map(convert);
}

function utterance(list: Utterance, at: number): Utterance & { id: string } {
  const given = (list ?? {}) as Utterance;
  if (!Array.isArray(given.nbest)) {
    throw new BadInputError(`${named(given.id ?? name(at))}: expected texts, {text, score?} objects, {nbest} or a recogniser's result`);
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

/** Parts of the first-pass score, and what says whose `lm` is. */
const PARTS = ['am', 'lm', 'first_lm', 'total', 'scores'] as const;

function hypotheses(list: readonly (Hypothesis | string)[], id: string): Hypothesis[] {
  return list.map((hypothesis, at) => {
    if (typeof hypothesis === 'string') return { text: hypothesis };
    const { text, score } = (hypothesis ?? {}) as Partial<Hypothesis>;
    if (typeof text !== 'string') throw new BadInputError(`${named(id)}, hypothesis ${at + 1}: has no text`);
    const parts = Object.fromEntries(PARTS.filter((key) => hypothesis[key] !== undefined).map((key) => [key, hypothesis[key]]));
    if (score === undefined || score === null) return { text, ...parts };
    if (typeof score !== 'number' || !Number.isFinite(score)) {
      throw new BadInputError(`${named(id)}, hypothesis ${at + 1}: the score is ${String(score)}; expected a log-probability`);
    }
    return { text, score, ...parts };
  });
}
