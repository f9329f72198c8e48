/**
 * The recogniser's order, without a model: the same rule as in the core (`score::first_pass`);
 * shared test cases compare them.
 */

import { toList } from './lists.js';
import type { NBest, Ranked } from './types.js';

/**
 * A list by its first-pass scores, best first. A hypothesis without a score ranks with the lowest
 * one of its list; if none has a score, all count as 0 and the list keeps its order. Equal scores
 * keep their order. `rescore` without an adapter gives the same.
 */
export function firstPass(nbest: NBest): Ranked[] {
  const list = toList(nbest, 0).nbest;
  const known = list.flatMap(({ score }) => (typeof score === 'number' ? [score] : []));
  const lowest = known.length > 0 ? known.reduce((one, other) => Math.min(one, other)) : 0;
  const ranked = list.map(({ text, score }, index) => ({ text, score: score ?? lowest, first: score ?? null, lm: null, rank: 0, index, truncated: false }));
  ranked.sort((one, other) => other.score - one.score);
  return ranked.map((hypothesis, at) => ({ ...hypothesis, rank: at + 1 }));
}
