/** Which words of two texts differ. */

import type { AlignedWord } from './types.js';

/** An error costs more than all gaps together. */
const ERROR = 2 ** 20;

/**
 * The alignment with the fewest word errors, and among those with the fewest insertions and
 * deletions, as in the core. Words are separated by white space and compared exactly.
 */
export function alignWords(reference: string, hypothesis: string): AlignedWord[] {
  const ref = reference.split(/\s+/).filter(Boolean);
  const hyp = hypothesis.split(/\s+/).filter(Boolean);
  const width = hyp.length + 1;
  const wrong = (i: number, j: number) => (ref[i - 1] === hyp[j - 1] ? 0 : ERROR);
  // cost[i * width + j]: of the first i words of one and the first j of the other.
  const cost = new Float64Array((ref.length + 1) * width);
  for (let i = 0; i <= ref.length; i++) {
    for (let j = 0; j <= hyp.length; j++) {
      const at = i * width + j;
      const replace = i > 0 && j > 0 ? cost[at - width - 1]! + wrong(i, j) : Infinity;
      const drop = i > 0 ? cost[at - width]! + ERROR + 1 : Infinity;
      const add = j > 0 ? cost[at - 1]! + ERROR + 1 : Infinity;
      cost[at] = at === 0 ? 0 : Math.min(replace, drop, add);
    }
  }
  const words: AlignedWord[] = [];
  for (let [i, j] = [ref.length, hyp.length]; i > 0 || j > 0; ) {
    const at = i * width + j;
    if (i > 0 && j > 0 && cost[at] === cost[at - width - 1]! + wrong(i, j)) {
      const op = wrong(i, j) === 0 ? 'equal' : 'substitute';
      words.push({ op, ref: ref[--i]!, hyp: hyp[--j]! });
    } else if (i > 0 && cost[at] === cost[at - width]! + ERROR + 1) {
      words.push({ op: 'delete', ref: ref[--i]! });
    } else {
      words.push({ op: 'insert', hyp: hyp[--j]! });
    }
  }
  return words.reverse();
}
