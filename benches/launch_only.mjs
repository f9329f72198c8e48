/**
 * What a training step and a rescoring pass cost the host in Chromium:
 *
 *     node benches/launch_only.mjs [TOKENS [SECONDS]]
 *
 * The counterpart of `lorb bench --launch-only`. Runs steps of a training run and calls of `rescorer.score` on MiniLM with WebGPU, while
 * every dispatch has zero workgroups, so that only the host's work remains: building the graph, WebAssembly, the calls of WebGPU and the
 * messages between page and worker. Batches have about TOKENS tokens (1024 by default); each measurement takes SECONDS (5 by default).
 * Needs web/dist (scripts/build-web.sh). Prints a Markdown table; counts are means per step.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { launch, open } from '../tests/browser/browser.mjs';
import { files, minilm, root } from '../tests/browser/site.mjs';
import { serve } from '../web/test/server.mjs';

const [tokens = '1024', seconds = '5'] = process.argv.slice(2);

const BLANK = '<!doctype html><html lang="en"><title>LoRB</title><link rel="icon" href="data:,">';

/** In the worker, before the package's own code: counts calls, and empties dispatches while a page asks for it. */
function watch() {
  let [counts, emptied] = [{}, false];
  const wrap = (type, method, around = (call) => call()) => {
    const original = type.prototype[method];
    type.prototype[method] = function (...given) {
      counts[method] = (counts[method] ?? 0) + 1;
      return around((other = given) => original.apply(this, other), given);
    };
  };
  wrap(GPUComputePassEncoder, 'dispatchWorkgroups', (call, given) => call(emptied ? [0] : given));
  wrap(GPUDevice, 'createBindGroup');
  wrap(GPUQueue, 'writeBuffer');
  wrap(GPUQueue, 'submit');
  wrap(GPUBuffer, 'mapAsync');
  // Emptied kernels leave whatever was in memory, and a run needs finite numbers.
  wrap(GPUBuffer, 'getMappedRange', (call) => {
    const range = call();
    if (emptied) new Uint8Array(range).fill(0);
    return range;
  });
  const channel = new BroadcastChannel('launches');
  channel.onmessage = ({ data }) => {
    if (data.question) return channel.postMessage({ counts });
    counts = {};
    if ('empty' in data) emptied = data.empty;
  };
}

const given = files(BLANK, { '/lorb/': join(root, 'web/dist/'), '/minilm/': minilm() + '/', '/golden/': join(root, 'tests/golden/') });
const server = await serve((path) => {
  if (path === '/lorb/worker.js') return Buffer.from("import './watch.js';\nimport './watched.js';\n");
  if (path === '/lorb/watch.js') return Buffer.from(`(${watch})();\n`);
  return given(path === '/lorb/watched.js' ? '/lorb/worker.js' : path);
});

/** In the page. */
async function measure({ texts, tokens, seconds }) {
  const { Rescorer } = await import('/lorb/index.js');
  const channel = new BroadcastChannel('launches');
  const counted = () =>
    new Promise((resolve) => {
      channel.onmessage = ({ data }) => resolve(data.counts);
      channel.postMessage({ question: true });
    });
  const rescorer = await Rescorer.fromPretrained('/minilm', { device: 'webgpu', adapter: '/golden/minilm/adapter' });

  // Lists of ten different texts, as many as fill a batch.
  const lengths = await rescorer.tokenCounts(texts);
  const lists = [];
  for (let at = 0, filled = 0; filled < 16 * tokens && at + 10 <= texts.length; at += 10) {
    const nbest = texts.slice(at, at + 10).map((text, i) => ({ text, score: -i }));
    lists.push({ id: `${at}`, ref: nbest[at % 7].text, nbest });
    filled += lengths.slice(at, at + 10).reduce((sum, length) => sum + length, 0);
  }

  /** Mean and minimum time of a step in ms, and its calls. `step` resolves after one; it may launch several, or none. */
  const time = async (step) => {
    // All kernels are compiled and checked with their work, then the steps are timed without.
    await step();
    channel.postMessage({ empty: true });
    for (let i = 0; i < 4; i++) await step();
    const times = [];
    channel.postMessage({});
    const until = performance.now() + 1000 * seconds;
    const first = performance.now();
    while (performance.now() < until || times.length < 8) {
      const start = performance.now();
      await step();
      times.push(performance.now() - start);
    }
    const mean = (performance.now() - first) / times.length;
    const counts = await counted();
    channel.postMessage({ empty: false });
    for (const call of Object.keys(counts)) counts[call] /= times.length;
    return { ms: mean, least: Math.min(...times), steps: times.length, counts };
  };

  const batch = [];
  for (let at = 0, filled = 0; filled + lengths[at] <= tokens; at++) {
    batch.push(texts[at]);
    filled += lengths[at];
  }
  const rescoring = await time(() => rescorer.score([batch], { batchTokens: tokens }));

  const trainer = rescorer.createTrainer({ r: 8, epochs: 1000, batchTokens: tokens, targetModules: ['query', 'key', 'value', 'dense'] });
  const messages = trainer.run(lists);
  const training = await time(async () => {
    for (;;) {
      const { value, done } = await messages.next();
      if (done) throw new Error('the run is over');
      if (value.type === 'step') return;
    }
  });
  await messages.return();
  return { training, rescoring };
}

/** Different texts of 8 to 20 words, from the README. */
function texts() {
  const words = readFileSync(join(root, 'README.md'), 'utf8').toLowerCase().match(/[a-z]{2,}/g);
  return Array.from({ length: 4000 }, (_, i) => {
    const start = (i * 37) % (words.length - 20);
    return words.slice(start, start + 8 + (i % 13)).join(' ');
  });
}

const browser = await launch();
try {
  const { page } = await open(browser, server.root);
  page.setDefaultTimeout(0);
  const found = await page.evaluate(measure, { texts: texts(), tokens: Number(tokens), seconds: Number(seconds) });
  console.log('| | ms | least, ms | µs per dispatch | dispatches | bind groups | buffer writes | submits | reads |');
  console.log('|---|---:|---:|---:|---:|---:|---:|---:|---:|');
  for (const [name, { ms, least, counts }] of Object.entries(found)) {
    const calls = ['dispatchWorkgroups', 'createBindGroup', 'writeBuffer', 'submit', 'mapAsync'].map((call) => (counts[call] ?? 0).toFixed(1));
    const numbers = [ms, least, (1000 * ms) / (counts.dispatchWorkgroups ?? NaN)].map((value) => value.toFixed(1));
    console.log(`| ${[name, ...numbers, ...calls].join(' | ')} |`);
  }
} finally {
  await browser.close();
  await server.close();
}
