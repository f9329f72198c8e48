// Scores in the browser equal those of the native tool.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { altered } from './altered.mjs';
import { quiet } from './browser.mjs';
import { rescored } from './native.mjs';
import { lists, minilm, root } from './site.mjs';
import { stage } from './stage.mjs';

const TOLERANCE = 1e-4;
const staged = stage();

/** Maximum difference between two rescorings, by list and hypothesis. */
function difference(ours, native) {
  let greatest = 0;
  for (const [at, list] of native.entries()) {
    assert.equal(ours[at].length, list.nbest.length);
    // Equal totals may come in any order, so look up texts; equal texts have equal scores.
    for (const { text, lm } of list.nbest) {
      const found = ours[at].find((ranked) => ranked.text === text);
      greatest = Math.max(greatest, Math.abs(found.lm - lm));
    }
    ours[at].forEach(({ score }, place) => (greatest = Math.max(greatest, Math.abs(score - list.nbest[place].total))));
    assert.deepEqual(ours[at].map(({ rank }) => rank), ours[at].map((_, place) => place + 1));
  }
  return greatest;
}

for (const [base, device, folder] of [
  ['tiny', 'webgpu', '/golden/tiny'],
  ['tiny', 'wasm', '/golden/tiny'],
  ['roberta', 'webgpu', '/golden/roberta'],
  ['roberta', 'wasm', '/golden/roberta'],
  ['electra', 'webgpu', '/golden/electra'],
  ['electra', 'wasm', '/golden/electra'],
  ['modernbert', 'webgpu', '/golden/modernbert'],
  ['modernbert', 'wasm', '/golden/modernbert'],
  ['minilm', 'webgpu', '/minilm'],
  ['minilm', 'wasm', '/minilm'],
]) {
  test(`${base} on ${device}: rescoring equals the native tool's`, async (t) => {
    const { page, context, complaints } = await staged.visit();
    const given = lists(base);
    const answer = await page.evaluate(
      async ([base, device, folder, given]) => {
        const { Rescorer } = window.lorb;
        const rescorer = await Rescorer.fromPretrained(folder, { device, adapter: `/golden/${base}/adapter` });
        const ranked = await rescorer.rescoreAll(given, { weights: { beta: 1 } });
        const single = await rescorer.rescore(given[0], { weights: { beta: 1 } });
        // A list without scores would be ordered by this `lm` as its only part, so such lists keep none.
        const scored = ({ nbest }) => nbest.some(({ score }) => typeof score === 'number');
        const own = given.map((list) => ({ ...list, site: 'x', nbest: list.nbest.map((hypothesis) => (scored(list) ? { ...hypothesis, lm: -7 } : hypothesis)) }));
        const reranked = await rescorer.rerank(own, { weights: { beta: 1 } });
        const tooMany = { id: 'call-7', nbest: Array.from({ length: 201 }, () => 'a') };
        const refused = await rescorer.rescore(tooMany).catch(({ name, message }) => ({ name, message }));
        const raw = await rescorer.score([given[0].nbest.map(({ text }) => text)]);
        const report = await rescorer.evaluate(given, { weights: { beta: 1 } });
        const first = await rescorer.rescore(given[0], { adapter: null });
        // The package's own first pass is the core's, also where scores are missing.
        const gaps = given.map(({ nbest }) => nbest.map(({ text, score }, at) => (at % 3 === 1 ? { text } : { text, score })));
        const orders = { core: await rescorer.rescoreAll(gaps, { adapter: null }), page: gaps.map(window.lorb.firstPass) };
        const { hash, dtype, deviceName, parameters } = rescorer;
        const memory = await rescorer.memory();
        await rescorer.dispose();
        return { ranked, single, reranked, refused, raw, report, first, orders, hash, dtype, deviceName, parameters, memory };
      },
      [base, device, folder, given],
    );
    const golden = join(root, 'tests/golden', base);
    const model = base === 'minilm' ? minilm() : golden;
    const native = rescored(model, join(golden, 'adapter'), join(golden, 'lists.jsonl'));
    const greatest = difference(answer.ranked, native);
    t.diagnostic(`greatest difference ${greatest.toExponential(1)} on ${answer.deviceName}; memory ${JSON.stringify(answer.memory)}`);
    assert.ok(greatest < TOLERANCE, `${greatest}`);
    // A single list, and scores without ranking, give the same results as all lists together.
    answer.single.forEach(({ lm }, at) => assert.ok(Math.abs(lm - answer.ranked[0][at].lm) < TOLERANCE));
    // Written back as the native tool writes lists, with the recogniser's own lm under another name.
    for (const [at, { id, site, nbest }] of answer.reranked.entries()) {
      assert.deepEqual([id, site], [native[at].id, 'x']);
      nbest.forEach(({ total }, place) => assert.ok(Math.abs(total - native[at].nbest[place].total) < TOLERANCE));
      const before = given[at].nbest.some(({ score }) => typeof score === 'number') ? -7 : undefined;
      assert.ok(nbest.every(({ lm, first_lm: own }) => lm !== -7 && own === before));
    }
    assert.equal(answer.refused.name, 'BadInputError');
    assert.match(answer.refused.message, /utterance "call-7".*201/);
    for (const { index, lm } of answer.single) assert.ok(Math.abs(answer.raw[0][index] - lm) < TOLERANCE);
    // Without an adapter, the first-pass order is kept and there are no scores.
    const best = Math.max(...given[0].nbest.map(({ score }) => score));
    assert.equal(answer.first[0].score, best);
    assert.ok(answer.first.every(({ lm }) => lm === null));
    assert.deepEqual(answer.orders.page, answer.orders.core);
    assert.equal(answer.report.utterances, given.filter(({ ref }) => ref !== undefined).length);
    assert.equal(answer.report.choices.length, given.length);
    quiet(complaints);
    await context.close();
  });
}

test('scores of lower precision are close to f32, which equals the native score', async (t) => {
  const { page, context, complaints } = await staged.visit();
  const given = lists('tiny');
  const scores = await page.evaluate(async (given) => {
    const texts = given.map(({ nbest }) => nbest.map(({ text }) => text));
    const scores = {};
    const half = (await navigator.gpu.requestAdapter()).features.has('shader-f16');
    for (const dtype of ['fp16', 'int8', 'mixed']) {
      const options = { device: 'webgpu', dtype, adapter: '/golden/tiny/adapter' };
      if (dtype === 'mixed' && !half) {
        const error = await window.lorb.Rescorer.fromPretrained('/golden/tiny', options).catch((error) => error);
        scores[dtype] = `${error.name}: ${error.message}`;
        continue;
      }
      const rescorer = await window.lorb.Rescorer.fromPretrained('/golden/tiny', options);
      scores[dtype] = (await rescorer.score(texts)).flat();
      if (rescorer.dtype !== dtype) throw new Error(`${rescorer.dtype} instead of ${dtype}`);
      await rescorer.dispose();
    }
    return scores;
  }, given);
  const golden = join(root, 'tests/golden/tiny');
  const native = rescored(golden, join(golden, 'adapter'), join(golden, 'lists.jsonl'));
  const full = given.flatMap(({ nbest }, at) => nbest.map(({ text }) => native[at].nbest.find((one) => one.text === text).lm));
  for (const [dtype, most] of [['fp16', 5e-3], ['int8', 0.15], ['mixed', 5e-3]]) {
    if (typeof scores[dtype] === 'string') {
      assert.match(scores[dtype], /^DeviceRefusedError: the precision mixed needs a GPU with f16 in shaders.* use the dtype 'fp16'/);
      t.diagnostic(`${dtype}: not on this device`);
      continue;
    }
    assert.equal(scores[dtype].length, full.length);
    const greatest = Math.max(...full.map((score, at) => Math.abs(score - scores[dtype][at])));
    t.diagnostic(`${dtype}: ${greatest.toExponential(1)}`);
    assert.ok(greatest > 0 && greatest < most, `${dtype}: ${greatest}`);
  }
  quiet(complaints);
  await context.close();
});

test('a slow device gets small batches, unless a call names their size', async (t) => {
  const { page, context, complaints } = await staged.visit();
  // Every millisecond counts as a second.
  const source = altered(staged.server.root, 'const now = performance.now.bind(performance); performance.now = () => 1000 * now();');
  const answer = await page.evaluate(
    async ([source, given]) => {
      const slow = () => new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), { type: 'module' });
      const answer = [];
      for (const worker of [undefined, slow]) {
        const rescorer = await window.lorb.Rescorer.fromPretrained('/golden/tiny', { device: 'wasm', adapter: '/golden/tiny/adapter', worker });
        const calls = async (options) => {
          let count = 0;
          await rescorer.rescoreAll(given, { weights: { beta: 1 }, onProgress: () => count++, ...options });
          return count;
        };
        answer.push({ batchTokens: rescorer.batchTokens, own: await calls({}), large: await calls({ batchTokens: 2048 }), small: await calls({ batchTokens: 64 }) });
        await rescorer.dispose();
      }
      return answer;
    },
    [source, lists('tiny')],
  );
  const [fast, slow] = answer;
  t.diagnostic(JSON.stringify(answer));
  assert.ok(slow.batchTokens === 128 && fast.batchTokens > 128 && fast.batchTokens <= 2048, JSON.stringify(answer));
  assert.ok(slow.own > slow.large && slow.own < slow.small, JSON.stringify(answer));
  assert.deepEqual([slow.large, slow.small], [fast.large, fast.small]);
  quiet(complaints);
  await context.close();
});

test('files of every format in JSON are detected and read, and other files are named', async () => {
  const folder = new URL('../lists/', import.meta.url);
  const names = readdirSync(folder).filter((name) => !name.endsWith('.md'));
  assert.ok(names.length > 7);
  const files = names.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]);
  const { page, context, complaints } = await staged.visit();
  const answer = await page.evaluate(async (files) => {
    const { parseNbest, Rescorer } = window.lorb;
    const read = {};
    for (const [name, text] of files) {
      const notes = [];
      const packed = await new Response(new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'))).blob();
      const lists = await parseNbest(packed, name, { onNote: (note) => notes.push(note) });
      read[name] = { lists, notes, same: JSON.stringify(lists) === JSON.stringify(await parseNbest(text, name)) };
    }
    const refuse = (data) => parseNbest(data, 'x').catch(({ name, message }) => `${name}: ${message}`);
    const refused = [
      await refuse(new Blob(['version https://git-lfs.github.com/spec/v1\n'])),
      await refuse(new Blob([Uint8Array.of(0xff, 0xfe, 0x7b, 0, 0x22, 0)])),
    ];
    const rescorer = await Rescorer.fromPretrained('/golden/tiny', { device: 'wasm', adapter: '/golden/tiny/adapter' });
    const vosk = await rescorer.rescore({ alternatives: [{ text: 'turn of the light', confidence: 237.5 }, { text: 'turn off the light', confidence: 236 }] }, { weights: { beta: 1 } });
    await rescorer.dispose();
    return { read, refused, vosk };
  }, files);
  for (const name of names) {
    const { lists, same } = answer.read[name];
    assert.deepEqual([lists.length, lists[3].ref, lists[3].nbest[0].text.trim(), same], [4, 'stop', 'stop', true], name);
  }
  assert.equal(answer.read['vosk.json'].lists[0].id, 'vosk-1');
  assert.match(answer.read['vosk.json'].notes[0], /named by their position/);
  assert.match(answer.refused[0], /^BadInputError: x: this is a Git LFS pointer/);
  assert.match(answer.refused[1], /^BadInputError: x: this is text in UTF-16/);
  assert.deepEqual(answer.vosk.map(({ first }) => first).sort(), [236, 237.5]);
  quiet(complaints);
  await context.close();
});

test('core and page agree on parsing and speech results', async () => {
  const { page, context, complaints } = await staged.visit();
  const answer = await page.evaluate(async (given) => {
    const { parseNbest, Rescorer } = window.lorb;
    const text = given.map((list) => JSON.stringify(list)).join('\n');
    const parsed = await parseNbest(new Blob([text]), 'mine.jsonl');
    const refused = await parseNbest(`${text}\n{"id":"x"}`, 'mine.jsonl').catch(({ name, message }) => ({ name, message }));
    const folder = { 'logdir/output.1/1best_recog/text': 'u1 turn of the light\n', 'logdir/output.1/1best_recog/score': 'u1 tensor(-1.5)\n' };
    const espnet = await parseNbest(folder, 'decode', { references: 'u1 turn off the light\n' });
    const kaldi = { 'archives.1/words_text': 'u-1 stop\n', 'archives.1/acwt': 'u-1 30\n', 'archives.1/lmwt.withlm': 'u-1 4\n' };
    const scaled = await Promise.all([undefined, 0.5].map(async (acousticScale) => (await parseNbest(kaldi, 'decode', { acousticScale }))[0].nbest[0].score));
    const noScale = await parseNbest(kaldi, 'decode', { acousticScale: NaN }).catch(({ message }) => message);
    const unknown = await parseNbest(text, 'mine.jsonl', { format: 'lattice' }).catch(({ name, message }) => ({ name, message }));
    const result = { length: 2, isFinal: true, 0: { transcript: ' turn of the light', confidence: 0.9 }, 1: { transcript: 'turn off the light', confidence: 0 } };
    const rescorer = await Rescorer.fromPretrained('/golden/tiny', { device: 'wasm', adapter: '/golden/tiny/adapter' });
    const heard = await rescorer.rescore(result, { weights: { beta: 1 } });
    await rescorer.dispose();
    return { parsed, refused, espnet, scaled, noScale, unknown, heard };
  }, lists('tiny'));
  assert.deepEqual(answer.parsed.map(({ id }) => id), lists('tiny').map(({ id }) => id));
  assert.equal(answer.refused.name, 'BadInputError');
  assert.match(answer.refused.message, /mine\.jsonl.*\b7\b/);
  assert.deepEqual(answer.espnet, [{ id: 'u1', ref: 'turn off the light', nbest: [{ text: 'turn of the light', score: -1.5 }] }]);
  assert.deepEqual(answer.scaled, [-7, -19]);
  assert.match(answer.noScale, /acousticScale is NaN; expected a finite number/);
  assert.equal(answer.unknown.name, 'BadInputError');
  assert.match(answer.unknown.message, /"lattice": expected auto, .*jsonl/);
  assert.deepEqual(answer.heard.map(({ first }) => first === null).sort(), [false, true]);
  quiet(complaints);
  await context.close();
});
