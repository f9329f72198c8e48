// The page stays responsive while the worker computes.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { quiet } from './browser.mjs';
import { lists } from './site.mjs';
import { stage } from './stage.mjs';

const staged = stage();

test('the page keeps its frame rate while it re-ranks lists and tunes an adapter on the CPU', async (t) => {
  const { page, context, complaints } = await staged.visit();
  const answer = await page.evaluate(async (given) => {
    const rescorer = await window.lorb.Rescorer.fromPretrained('/minilm', { device: 'wasm', adapter: '/golden/minilm/adapter' });
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
    const until = async (milliseconds, work) => {
      while (performance.now() - began < milliseconds) await work();
    };
    await until(2000, () => rescorer.rescoreAll(given, { weights: { beta: 1 } }));
    const run = rescorer.createTrainer({ epochs: 1000 }).run(given);
    await until(4000, () => run.next());
    await run.return();
    running = false;
    observer.disconnect();
    const milliseconds = performance.now() - began;
    await rescorer.dispose();
    return { milliseconds, tasks, frames };
  }, lists('minilm'));
  const { milliseconds, tasks, frames } = answer;
  const rate = (1000 * (frames.length - 1)) / (frames.at(-1) - frames[0]);
  const gaps = frames.slice(1).map((now, at) => now - frames[at]).sort((a, b) => a - b);
  const [median, longest] = [gaps[gaps.length >> 1], gaps.at(-1)];
  t.diagnostic(`${rate.toFixed(1)} frames per second, half of them within ${median.toFixed(1)} ms, all within ${longest.toFixed(0)} ms; long tasks: ${JSON.stringify(tasks)}`);
  // Use the median, because a busy machine may drop single frames.
  assert.ok(median < 1.1 * (1000 / 60), `half of the frames took ${median} ms and more`);
  // Heavy work on this thread would take nearly all of the time.
  const blocked = tasks.reduce((sum, duration) => sum + duration, 0);
  assert.ok(blocked < 0.05 * milliseconds, `${blocked} ms of ${milliseconds} in long tasks`);
  quiet(complaints);
  await context.close();
});
