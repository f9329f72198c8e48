/**
* Speed in a browser, compared with transformers.js on the same texts and with the native program:
 *
 *     node benches/beside_transformersjs.mjs LISTS.jsonl[.gz] TRANSFORMERS ONNX [LISTS_USED [LISTS_ON_WEBGPU [SECONDS]]]
 *
* TRANSFORMERS is a directory in which `npm install --ignore-scripts @huggingface/transformers@4.3.1` was run. ONNX is the output directory
 * of benches/export_onnx.py for the base of the tests. Needs web/dist (scripts/build-web.sh) and a release build. Runs the contenders one
 * after the other, each in a separate browser, and prints a Markdown table. LISTS_USED is 20 by default, and 2 on WebGPU, which runs in
 * software here. A contender that takes longer than SECONDS (600 by default) is stopped.
 *
* "Cold start" is the time in a new page, with the base in its cache, from the load call to the first scored list. The encoder pass
 * scores every list, including tokenization, after one uncounted pass. transformers.js gets each list as one padded batch, and only
 * [CLS] of its last hidden state is read back. Below the table, the script prints the difference in [CLS] of the base without adapter.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

import { launch, open } from '../tests/browser/browser.mjs';
import { binary } from '../tests/browser/native.mjs';
import { files, minilm, root } from '../tests/browser/site.mjs';
import { serve } from '../web/test/server.mjs';

const [file, transformers, onnx, used = '20', slow = '2', seconds = '600'] = process.argv.slice(2);
if (!onnx) {
  console.error('usage: node benches/beside_transformersjs.mjs LISTS.jsonl[.gz] TRANSFORMERS ONNX [LISTS_USED [LISTS_ON_WEBGPU [SECONDS]]]');
  process.exit(2);
}
const bytes = readFileSync(file);
const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
const lines = text.trim().split('\n').slice(0, Number(used));
const lists = lines.map((line) => JSON.parse(line));
const hypotheses = (lists) => lists.reduce((sum, { nbest }) => sum + nbest.length, 0);

const BLANK = '<!doctype html><html lang="en"><title>LoRB</title><link rel="icon" href="data:,">';
const places = {
  '/lorb/': join(root, 'web/dist/'),
  '/minilm/': minilm() + '/',
  '/golden/': join(root, 'tests/golden/'),
  '/transformers/': join(transformers, 'node_modules/@huggingface/transformers/dist/'),
  '/ort/': join(transformers, 'node_modules/onnxruntime-web/dist/'),
  '/models/onnx/': onnx + '/',
};
const server = await serve(files(BLANK, places));

/** In the page: loads and scores the first list (and stops, if only the cache is to be filled), then scores all twice and tunes for three epochs. */
async function ours({ device, lists, fill }) {
  const { Rescorer } = await import('/lorb/index.js');
  const texts = lists.map(({ nbest }) => nbest.map(({ text }) => text));
  const started = performance.now();
  const rescorer = await Rescorer.fromPretrained('/minilm', { device, adapter: '/golden/minilm/adapter' });
  await rescorer.score([texts[0]]);
  const cold = performance.now() - started;
  if (fill) return rescorer.dispose();
  await rescorer.score(texts);
  const before = performance.now();
  await rescorer.score(texts);
  const pass = performance.now() - before;
  const cls = Array.from(await rescorer.encode(texts.flat()));
  const trainer = rescorer.createTrainer({ r: 8, epochs: 3, batchTokens: 1024 });
  let [first, last, tuned] = [0, 0, 0];
  for await (const message of trainer.run(lists)) {
    if (message.type !== 'step') continue;
    last = performance.now();
    if (first) tuned += message.hypotheses;
    else first = last;
  }
  return { cold, pass, tuning: tuned && tuned / ((last - first) / 1000), cls };
}

async function theirs({ device, lists, fill }) {
  const { AutoModel, AutoTokenizer, env } = await import('/transformers/transformers.min.js');
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = '/models/';
  env.backends.onnx.wasm.wasmPaths = '/ort/';
  const texts = lists.map(({ nbest }) => nbest.map(({ text }) => text));
  const started = performance.now();
  const tokenizer = await AutoTokenizer.from_pretrained('onnx');
  const model = await AutoModel.from_pretrained('onnx', { device, dtype: 'fp32' });
  const score = async (list) => {
    const { last_hidden_state } = await model(tokenizer(list, { padding: true, truncation: true }));
    return last_hidden_state.slice(null, 0).data;
  };
  await score(texts[0]);
  const cold = performance.now() - started;
  if (fill) return;
  const cls = [];
  for (const list of texts) cls.push(...(await score(list)));
  const before = performance.now();
  for (const list of texts) await score(list);
  return { cold, pass: performance.now() - before, tuning: null, cls };
}

async function measure(work, device, lists) {
  const browser = await launch();
  let late = false;
  const limit = setTimeout(() => ((late = true), browser.close()), 1000 * Number(seconds));
  try {
    const { page, context } = await open(browser, server.root);
    // The first visit fills the cache; the second uses the same profile.
    await page.evaluate(work, { device, lists: lists.slice(0, 1), fill: true });
    await page.close();
    const second = await context.newPage();
    await second.goto(server.root);
    return await second.evaluate(work, { device, lists });
  } catch (error) {
    throw late ? new Error(`not finished in ${seconds} s`) : error;
  } finally {
    clearTimeout(limit);
    await browser.close();
  }
}

/** Maximum difference between two matrices. */
function apart(a, b) {
  if (a.length !== b.length) throw new Error(`${a.length} numbers and ${b.length}`);
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at])), 0);
}

/** Hypotheses per second, as printed by the program. */
function native(device) {
  const directory = mkdtempSync(join(tmpdir(), 'lorb-speed-'));
  const run = (...args) => {
    const { status, stderr } = spawnSync(binary(), [...args, '--model', minilm(), '--device', device], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    const rates = [...stderr.matchAll(/([\d,.]+)(?: hypotheses)?\/s/g)];
    return Number(rates.at(-1)?.[1].replaceAll(',', '') ?? NaN);
  };
  try {
    const given = join(directory, 'lists.jsonl');
    writeFileSync(given, lines.join('\n') + '\n');
    const adapter = join(directory, 'adapter');
    const tuning = run('train', '--train', given, '--output', adapter, '--lora-r', '8', '--epochs', '1', '--batch-tokens', '1024');
    const pass = run('rescore', given, '--adapter', adapter, '--beta', '1', '--output', join(directory, 'out.jsonl'));
    return { pass, tuning };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

console.log('| | lists | hypotheses | cold start, s | encoder pass, hypotheses/s | tuning, hypotheses/s |\n|---|---:|---:|---:|---:|---:|');
const shown = (value) => (value ? value.toPrecision(3) : '');
const row = (name, lists, cold, pass, tuning) => console.log(`| ${[name, lists.length, hypotheses(lists), ...[cold, pass, tuning].map(shown)].join(' | ')} |`);
const notes = [];
try {
  for (const device of ['wasm', 'webgpu']) {
    const given = device === 'webgpu' ? lists.slice(0, Number(slow)) : lists;
    const found = [];
    for (const [who, work] of [['LoRB', ours], ['transformers.js', theirs]]) {
      const name = `${who}, ${device === 'webgpu' ? 'WebGPU' : 'wasm'}`;
      try {
        const { cold, pass, tuning, cls } = await measure(work, device, given);
        row(name, given, cold / 1000, hypotheses(given) / (pass / 1000), tuning);
        found.push(cls);
      } catch (error) {
        console.log(`| ${name} | ${given.length} | ${hypotheses(given)} | ${String(error.message).split('\n')[0]} | | |`);
      }
    }
    const numbers = found.length === 2 ? `${apart(...found).toExponential(1)} over ${found[0].length} numbers` : 'not compared';
    notes.push(`maximum difference of [CLS] on ${device}: ${numbers}`);
  }
  for (const device of ['cpu', 'software']) {
    const { pass, tuning } = native(device);
    row(`LoRB, native, --device ${device}`, lists, null, pass, tuning);
  }
  console.log(`\n${notes.join('\n')}`);
} finally {
  await server.close();
}
