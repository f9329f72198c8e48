/** Training steps and rescoring passes of the package, on a random base. */

import { Rescorer } from '../app/package.js';
import { randomBase, randomLists } from './base.js';
import { median } from './gpu.js';

/** @import {Found, Settings} from './measure.js' */

/** Steps before the timed ones, in which kernels are compiled. */
const WARM_UP = 2;
const LEAST_STEPS = 3;

/** @param {Settings} settings @param {Found} found @param {(what: string) => void} now @param {AbortSignal} signal */
export async function measureSteps({ shape, tokens, seconds, device }, found, now, signal) {
  now('the base');
  const before = performance.now();
  const rescorer = await Rescorer.fromPretrained(randomBase(shape), { device, baseName: 'random', cache: null, signal });
  try {
    found({ row: 'load', milliseconds: performance.now() - before, device: rescorer.deviceName });
    for (const size of tokens) {
      now(`training, ${size} tokens`);
      found({ row: 'step', step: 'training', batch_tokens: size, ...(await training(rescorer, size, seconds, signal)) });
    }
    for (const size of tokens) {
      now(`rescoring, ${size} tokens`);
      const lists = randomLists(size, 3);
      const texts = lists.map(({ nbest }) => nbest.map(({ text }) => text));
      const pass = () => rescorer.score(texts, { batchTokens: size, signal });
      for (let turn = 0; turn < WARM_UP; turn += 1) await pass();
      const times = [];
      const start = performance.now();
      while (times.length < LEAST_STEPS || performance.now() - start < 1e3 * seconds) {
        const from = performance.now();
        await pass();
        times.push(performance.now() - from);
      }
      const hypotheses = lists.reduce((sum, { nbest }) => sum + nbest.length, 0);
      found({ row: 'step', step: 'rescoring', batch_tokens: size, hypotheses, ...summary(times, hypotheses) });
    }
  } finally {
    await rescorer.dispose();
  }
}

/** @param {Rescorer} rescorer @param {number} size @param {number} seconds @param {AbortSignal} signal */
async function training(rescorer, size, seconds, signal) {
  const trainer = rescorer.createTrainer({ adapter: 'bench', targetModules: ['all-linear'], r: 8, epochs: 1000, batchTokens: size, lr: 1e-5 });
  const times = [];
  let [hypotheses, tokens, seen] = [0, 0, 0];
  const start = performance.now();
  let from = start;
  // Several batches, so that sizes differ as a user's do.
  for await (const message of trainer.run(randomLists(4 * size, 1), [], { signal })) {
    if (message.type !== 'step') continue;
    const now = performance.now();
    seen += 1;
    if (seen > WARM_UP) {
      times.push(now - from);
      hypotheses += message.hypotheses;
      tokens += message.tokens;
      if (times.length >= LEAST_STEPS && now - start > 1e3 * seconds) trainer.stop();
    }
    from = performance.now();
  }
  const mean = (/** @type {number} */ sum) => sum / times.length;
  return { hypotheses: mean(hypotheses), tokens: mean(tokens), ...summary(times, mean(hypotheses)) };
}

/** @param {number[]} times @param {number} hypotheses */
function summary(times, hypotheses) {
  const milliseconds = median(times);
  return { milliseconds, least_milliseconds: Math.min(...times), repeats: times.length, hypotheses_s: (1e3 * hypotheses) / milliseconds };
}
