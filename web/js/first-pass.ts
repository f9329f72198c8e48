/**
 * The recogniser's order, without a model: the same rule as in the core (`score::first_pass`);
 * shared test cases compare them.
 */

import { toList } from './lists.js';
import type { Hypothesis, NBest, Ranked } from './types.js';

/**
 * A list by its first-pass scores, best first. A hypothesis without a score ranks with the lowest
 * one of its list; if none has a score, the sum of the parts counts (`am`, `lm`, `scores`), and
 * without parts the list keeps its order. Equal scores keep their order. `rescore` without an
 * adapter gives the same.
 */
export function firstPass(nbest: NBest): Ranked[] {
  const list = toList(nbest, 0).nbest;
  const scores = filled(list.map(({ score }) => score)) ?? sumOfParts(list);
  const ranked = list.map(({ text, score }, index) => ({ text, score: scores[index]!, first: score ?? null, lm: null, rank: 0, index, truncated: false }));
  ranked.sort((one, other) => other.score - one.score);
  return ranked.map((hypothesis, at) => ({ ...hypothesis, rank: at + 1 }));
}

/** With the lowest in place of missing ones; `undefined` if all are missing. */
function filled(scores: readonly unknown[]): number[] | undefined {
  const known = scores.filter((score) => typeof score === 'number');
  if (known.length === 0) return undefined;
  const lowest = known.reduce((one, other) => Math.min(one, other));
  return scores.map((score) => (typeof score === 'number' ? score : lowest));
}

function sumOfParts(list: readonly Hypothesis[]): number[] {
  const parts = list.map((hypothesis): Record<string, unknown> => {
    const { am, lm, first_lm: firstLm, total, scores } = hypothesis;
    // Rescoring writes `lm` and `total`; the recogniser's own `lm` is then in `first_lm`.
    return { ...(scores as object), am, lm: typeof total === 'number' ? firstLm : (lm ?? firstLm) };
  });
  // In the order of the names, as in the core, so that the sums are the same.
  const names = [...new Set(parts.flatMap(Object.keys))].sort();
  const sums = list.map(() => 0);
  for (const name of names) filled(parts.map((of) => of[name]))?.forEach((score, at) => (sums[at]! += score));
  return sums;
}
