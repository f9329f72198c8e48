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
  const last = lastSteps(ref, hyp);
  const words: AlignedWord[] = [];
  for (let [i, j] = [ref.length, hyp.length]; i > 0 || j > 0; ) {
    const step = last[i * (hyp.length + 1) + j];
    if (step === BOTH) {
      const op = ref[i - 1] === hyp[j - 1] ? 'equal' : 'substitute';
      words.push({ op, ref: ref[--i]!, hyp: hyp[--j]! });
    } else if (step === DELETE) {
      words.push({ op: 'delete', ref: ref[--i]! });
    } else {
      words.push({ op: 'insert', hyp: hyp[--j]! });
    }
  }
  return words.reverse();
}

const [BOTH, DELETE, INSERT] = [0, 1, 2];

/** The last step for the first i words of one and the first j of the other, at i * (hyp.length + 1) + j. */
function lastSteps(ref: string[], hyp: string[]): Uint8Array {
  const width = hyp.length + 1;
  // A byte for each pair of words, and the costs of one row only: texts of 10,000 words need 100 MB.
  const steps = new Uint8Array((ref.length + 1) * width).fill(INSERT, 0, width);
  const row = Float64Array.from({ length: width }, (_, j) => j * (ERROR + 1));
  for (let i = 1; i <= ref.length; i++) {
    let diagonal = row[0]!;
    row[0] = diagonal + ERROR + 1;
    steps[i * width] = DELETE;
    for (let j = 1; j <= hyp.length; j++) {
      const both = diagonal + (ref[i - 1] === hyp[j - 1] ? 0 : ERROR);
      const drop = row[j]! + ERROR + 1;
      const add = row[j - 1]! + ERROR + 1;
      diagonal = row[j]!;
      const least = Math.min(both, drop, add);
      row[j] = least;
      steps[i * width + j] = least === both ? BOTH : least === drop ? DELETE : INSERT;
    }
  }
  return steps;
}
