// The page stays responsive while the worker computes.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { quiet } from './browser.mjs';
import { lists } from './site.mjs';
import { stage } from './stage.mjs';

const staged = stage();

test('the page draws as many frames while the package computes as while any other worker is busy', async (t) => {
  const { page, context, complaints } = await staged.visit();
  const { other, ours } = await page.evaluate(async (given) => {
    /** Frames a second, and the fraction of time in long tasks, while `work` is repeated. */
    const watch = async (milliseconds, work) => {
      const tasks = [];
      const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)));
      observer.observe({ type: 'longtask' });
      const frames = [];
      let running = true;
      requestAnimationFrame(function frame(now) {
        frames.push(now);
        if (running) requestAnimationFrame(frame);
      });
      const began = performance.now();
      while (performance.now() - began < milliseconds) await work();
      running = false;
      observer.disconnect();
      const seconds = (performance.now() - began) / 1000;
      const blocked = tasks.reduce((sum, duration) => sum + duration, 0) / 1000 / seconds;
      return { rate: frames.length / seconds, blocked };
    };

    // The frame rate of this browser on this machine next to a worker that only keeps a core busy.
    const spinning = new Worker(URL.createObjectURL(new Blob(['for (;;);'])));
    const other = await watch(2000, () => new Promise((done) => setTimeout(done, 100)));
    spinning.terminate();

    const rescorer = await window.lorb.Rescorer.fromPretrained('/minilm', { device: 'wasm', adapter: '/golden/minilm/adapter' });
    const rescoring = await watch(2000, () => rescorer.rescoreAll(given, { weights: { beta: 1 } }));
    const run = rescorer.createTrainer({ epochs: 1000 }).run(given);
    const training = await watch(2000, () => run.next());
    await run.return();
    await rescorer.dispose();
    return { other, ours: { rescoring, training } };
  }, lists('minilm'));
  t.diagnostic(JSON.stringify({ other, ...ours }));
  for (const [what, { rate, blocked }] of Object.entries(ours)) {
    assert.ok(rate > 0.75 * other.rate, `${what}: ${rate} frames per second, and ${other.rate} next to a worker that only spins`);
    // If the page itself computed, this would be nearly 1.
    assert.ok(blocked < other.blocked + 0.05, `${what}: ${blocked} of the time in long tasks, and ${other.blocked} next to a worker that only spins`);
  }
  quiet(complaints);
  await context.close();
});
