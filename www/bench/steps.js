/** Training steps and rescoring passes of the package, on a random base. */

import { Rescorer } from '../app/package.js';
import { randomBase, randomLists } from './base.js';
import { median } from './gpu.js';

/** @import {Found, Settings} from './measure.js' */

/** @param {Settings} settings @param {Found} found @param {(what: string) => void} now @param {AbortSignal} signal */
export async function measureSteps(settings, found, now, signal) {
  const { shape, tokens, seconds, device, warmUp, leastSteps } = settings;
  now('the base');
  const before = performance.now();
  const rescorer = await Rescorer.fromPretrained(randomBase(shape), { device, baseName: 'random', cache: null, signal });
  try {
    found({ row: 'load', milliseconds: performance.now() - before, device: rescorer.deviceName });
    for (const size of tokens) {
      now(`training, ${size} tokens`);
      found({ row: 'step', step: 'training', batch_tokens: size, ...(await training(rescorer, size, settings, signal)) });
    }
    for (const size of tokens) {
      now(`rescoring, ${size} tokens`);
      const lists = randomLists(size, 3);
      const texts = lists.map(({ nbest }) => nbest.map(({ text }) => text));
      const pass = () => rescorer.score(texts, { batchTokens: size, signal });
      for (let turn = 0; turn < warmUp; turn += 1) await pass();
      const times = [];
      const start = performance.now();
      while (times.length < leastSteps || performance.now() - start < 1e3 * seconds) {
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

/** @param {Rescorer} rescorer @param {number} size @param {Settings} settings @param {AbortSignal} signal */
async function training(rescorer, size, { seconds, warmUp, leastSteps }, signal) {
  const trainer = rescorer.createTrainer({ adapter: 'bench', targetModules: ['all-linear'], r: 8, epochs: 1000, batchTokens: size, lr: 1e-5 });
  /** @type {{time: number, tokens: number, hypotheses: number}[]} */
  const steps = [];
  // The last batch of an epoch has what is left.
  const full = () => {
    const most = Math.max(...steps.map(({ tokens }) => tokens));
    return steps.filter(({ tokens }) => 2 * tokens >= most);
  };
  const start = performance.now();
  let from = start;
  let seen = 0;
  // Several batches, so that sizes differ as a user's do.
  for await (const message of trainer.run(randomLists(4 * size, 1), [], { signal })) {
    if (message.type !== 'step') continue;
    const now = performance.now();
    seen += 1;
    if (seen > warmUp) {
      steps.push({ time: now - from, tokens: message.tokens, hypotheses: message.hypotheses });
      if (full().length >= leastSteps && now - start > 1e3 * seconds) trainer.stop();
    }
    from = performance.now();
  }
  const timed = full();
  const mean = (/** @type {(step: {tokens: number, hypotheses: number}) => number} */ of) => timed.reduce((sum, step) => sum + of(step), 0) / timed.length;
  const hypotheses = mean((step) => step.hypotheses);
  return { hypotheses, tokens: mean((step) => step.tokens), ...summary(timed.map(({ time }) => time), hypotheses) };
}

/** @param {number[]} times @param {number} hypotheses */
function summary(times, hypotheses) {
  const milliseconds = median(times);
  return { milliseconds, least_milliseconds: Math.min(...times), repeats: times.length, hypotheses_s: (1e3 * hypotheses) / milliseconds };
}
