import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { fromWire, toWire } from '../dist/errors.js';
import * as lorb from '../dist/index.js';
import { fakeCache } from './fake-cache.mjs';
import { fakeWasm } from './fake-wasm.mjs';
import { workerFactory } from './fake-worker.mjs';
import { serve } from './server.mjs';

const { Rescorer } = lorb;
const blob = (value) => new Blob([typeof value === 'string' ? value : JSON.stringify(value)]);
// The beginning of a safetensors file.
const weights = new Uint8Array(10_000).fill(7);
weights.set([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]);
const hash = createHash('sha256').update(weights).digest('hex');
const model = () => ({ 'config.json': blob({ model_type: 'bert' }), 'tokenizer.json': blob('{}'), 'model.safetensors': new Blob([weights]) });
const adapter = (factor, base = hash) => ({ 'adapter_config.json': blob({ base }), 'adapter_model.safetensors': blob({ factor, beta: 1 }) });

async function open(control = {}, options = {}, source = model()) {
  const log = [];
  const wasm = fakeWasm(control);
  const rescorer = await Rescorer.fromPretrained(source, { device: 'wasm', worker: workerFactory(wasm, log), ...options });
  return { rescorer, log };
}

test('a base from files loads, rescores and can be disposed', async () => {
  const control = {};
  const events = [];
  const { rescorer, log } = await open(control, { dtype: 'fp16', adapter: adapter(2), progress_callback: (event) => events.push(event) });
  assert.equal(rescorer.hash, hash);
  assert.equal(rescorer.parameters, weights.length);
  assert.deepEqual([rescorer.device, rescorer.deviceName, rescorer.dtype, rescorer.name], ['wasm', 'fake 1', 'fp16', 'files']);
  assert.equal(rescorer.activeAdapter, 'default');
  assert.equal(events.at(-1).status, 'ready');
  assert.deepEqual(control.warmed, ['default']);
  const ranked = await rescorer.rescore(['a', { text: 'abc', score: -1 }]);
  assert.deepEqual(ranked, [
    { text: 'abc', score: 5, first: -1, lm: 6, index: 1, truncated: false, rank: 1 },
    { text: 'a', score: 2, first: null, lm: 2, index: 0, truncated: false, rank: 2 },
  ]);
  assert.deepEqual(await rescorer.score([['a', 'bb'], ['']]), [[2, 4], [0]]);
  assert.deepEqual([...(await rescorer.encode(['a', 'bb']))], [1, 2]);
  assert.deepEqual(await rescorer.memory(), { wasm: 1, device: 2, deviceReserved: 3 });
  assert.equal((await rescorer.rescoreAll([['a'], ['b']])).length, 2);
  await rescorer.dispose();
  await rescorer.dispose();
  assert.deepEqual([control.models, control.live], [0, 0]);
  assert.equal(log.at(-1), 'terminated');
  await assert.rejects(rescorer.rescore(['a']), { name: 'BadInputError' });
});

test('a call passes on the conventions that it names, and no others', async () => {
  const control = {};
  const { rescorer } = await open(control, { adapter: adapter(2) });
  await rescorer.rescore(['a'], { normalize: 'basic', join: true });
  assert.deepEqual(control.conventions, { normalize: 'basic', join: true });
  await rescorer.rerank([['a']], { unit: 'char', weights: { beta: 1 } });
  assert.deepEqual(control.conventions, { unit: 'char' });
  await rescorer.rescore(['a']);
  assert.deepEqual(control.conventions, {});
  await rescorer.dispose();
});

test('calls use the batch size that suits the device, or their own', async () => {
  const control = { batchTokens: 300 };
  const { rescorer } = await open(control, { adapter: adapter(2) });
  assert.equal(rescorer.batchTokens, 300);
  await rescorer.rescore(['a']);
  await rescorer.rescore(['a'], { batchTokens: 7 });
  await rescorer.rescoreAll([['a']], { batchTokens: undefined });
  await rescorer.score([['a']]);
  await rescorer.encode(['a'], { batchTokens: 9 });
  await rescorer.encode(['a']);
  assert.deepEqual(control.batches, [300, 7, 300, 300, 9, 300]);
  await rescorer.dispose();
});

test('loading without an adapter warms up too, and a refused device is released', async () => {
  const control = {};
  const { rescorer } = await open(control);
  assert.deepEqual(control.warmed, [undefined]);
  await rescorer.dispose();
  const refusing = { refuses: true };
  await assert.rejects(open(refusing, { adapter: adapter(2) }), lorb.DeviceRefusedError);
  assert.deepEqual([refusing.models, refusing.live], [0, 0]);
});

test('adapters can be swapped on one base', async () => {
  const { rescorer } = await open();
  await rescorer.loadAdapter(adapter(2), { name: 'two' });
  await rescorer.loadAdapter(adapter(3), { name: 'three', activate: false });
  assert.deepEqual(rescorer.adapters().map(({ name }) => name), ['two', 'three']);
  const lm = async () => (await rescorer.rescore(['ab']))[0].lm;
  assert.equal(await lm(), 4);
  rescorer.setAdapter('three');
  assert.equal(await lm(), 6);
  rescorer.disableAdapters();
  assert.equal(await lm(), null);
  await assert.rejects(rescorer.score([['a']]), { name: 'BadInputError' });
  assert.throws(() => rescorer.setAdapter('four'), { name: 'BadInputError' });
  await assert.rejects(rescorer.saveAdapter(), { name: 'BadInputError' });
  const saved = await rescorer.saveAdapter('three');
  assert.equal(JSON.parse(await saved['adapter_model.safetensors'].text()).factor, 3);
  await rescorer.loadAdapter(saved, { name: 'two' });
  assert.equal(await lm(), 6);
  await rescorer.deleteAdapter('two');
  assert.equal(rescorer.activeAdapter, null);
  await assert.rejects(rescorer.loadAdapter(adapter(2, 'ff')), { name: 'AdapterError' });
  await rescorer.dispose();
});

test('a call can name its adapter without changing the active one', async () => {
  const { rescorer, log } = await open();
  await rescorer.loadAdapter(adapter(2), { name: 'two' });
  await rescorer.loadAdapter(adapter(3), { name: 'three', activate: false });
  const lm = async (options) => (await rescorer.rescore(['ab'], options))[0].lm;
  assert.deepEqual([await lm({ adapter: 'three' }), await lm({}), await lm({ adapter: null })], [6, 4, null]);
  assert.deepEqual(await rescorer.score([['a']], { adapter: 'three' }), [[3]]);
  assert.equal((await rescorer.evaluate([{ ref: 'a', nbest: ['a'] }], { adapter: 'three' })).adapter, 'three');
  assert.equal(rescorer.activeAdapter, 'two');
  for (const call of [rescorer.rescore(['a'], { adapter: 'four' }), rescorer.score([['a']], { adapter: null })]) {
    await assert.rejects(call, { name: 'BadInputError' });
  }
  // The result of tuning has the new metadata, so no further request is needed.
  const before = log.length;
  const tuned = await rescorer.tune([{ ref: 'a', nbest: ['a'] }], { adapter: 'three' });
  assert.deepEqual([tuned.adapter.name, tuned.adapter.beta], ['three', 0.5]);
  assert.equal(rescorer.adapters().find(({ name }) => name === 'three').beta, 0.5);
  assert.deepEqual(log.slice(before).map(({ op }) => op), ['model.tune', 'adapter.write']);
  await rescorer.dispose();
});

test('ids reach the core, and reranked lists keep all keys', async () => {
  const { rescorer } = await open({}, { adapter: adapter(2) });
  const many = { id: 'call-7', nbest: Array.from({ length: 201 }, () => 'a') };
  await assert.rejects(rescorer.rescore(many), /utterance "call-7": 201/);
  const list = { id: 'call-8', site: 'x', nbest: [{ text: 'a', score: -1, am: -3 }, 'abc'] };
  assert.deepEqual(await rescorer.rerank([list, ['b']]), [
    { id: 'call-8', site: 'x', nbest: [{ text: 'abc', lm: 6, total: 6 }, { text: 'a', score: -1, am: -3, lm: 2, total: 1 }] },
    { id: 'list-2', nbest: [{ text: 'b', lm: 2, total: 2 }] },
  ]);
  await rescorer.dispose();
});

test('stored weights are found without a request', async () => {
  const root = '/owner/tiny/resolve/v1';
  const server = await serve({
    [`${root}/config.json`]: Buffer.from('{"model_type":"bert"}'),
    [`${root}/tokenizer.json`]: Buffer.from('{}'),
    [`${root}/model.safetensors`]: Buffer.from(weights),
  });
  const cache = fakeCache();
  const options = { host: server.root, revision: 'v1', cache };
  assert.deepEqual(await Rescorer.stored('owner/tiny', options), { bytes: 0, whole: false });
  assert.deepEqual([await Rescorer.isCached('owner/tiny', options), await Rescorer.files('owner/tiny', options)], [false, []]);
  const events = [];
  const { rescorer } = await open({}, { ...options, progressCallback: (event) => events.push(event) }, 'owner/tiny');
  await rescorer.dispose();
  const sum = events.filter(({ status }) => status === 'progress_total').at(-1);
  const all = weights.length + '{"model_type":"bert"}{}'.length;
  assert.deepEqual([sum.name, sum.progress, sum.loaded, sum.total], ['owner/tiny', 100, all, all]);
  assert.deepEqual(Object.keys(sum.files).sort(), ['config.json', 'model.safetensors', 'tokenizer.json']);
  await server.close();
  assert.equal(await Rescorer.isCached('owner/tiny', options), true);
  assert.deepEqual((await Rescorer.files('owner/tiny', options)).map(({ file, whole }) => [file, whole]), [['config.json', true], ['tokenizer.json', true], ['model.safetensors', true]]);
  assert.deepEqual(await Rescorer.stored('owner/tiny', options), { bytes: weights.length, whole: true });
  assert.deepEqual(await Rescorer.stored('owner/tiny', { ...options, revision: 'v2' }), { bytes: 0, whole: false });
  assert.deepEqual(await Rescorer.stored('owner/tiny', { ...options, cache: null }), { bytes: 0, whole: false });
  cache.entries.set('another', new Uint8Array(1));
  const broken = new Map([...cache.entries].filter(([key]) => !key.includes('/config.json')));
  assert.equal(await Rescorer.isCached('owner/tiny', { ...options, cache: { ...fakeCache(), match: async (key) => broken.has(key) ? new Response(broken.get(key)) : undefined } }), false);
  await Rescorer.clearCache('owner/tiny', options);
  assert.deepEqual([...cache.entries.keys()], ['another']);
  assert.equal(await Rescorer.isCached('owner/tiny', options), false);
  // Node has no Cache API, as some pages have none.
  assert.deepEqual(await Rescorer.stored('owner/tiny'), { bytes: 0, whole: false });
  assert.deepEqual(await Rescorer.stored(model()), { bytes: weights.length, whole: true });
});

test('invalid arguments are rejected before anything is loaded', async () => {
  const worker = () => assert.fail('no worker is needed');
  for (const options of [{ device: 'cuda' }, { dtype: 'fp8' }]) {
    await assert.rejects(Rescorer.fromPretrained(model(), { ...options, worker }), { name: 'BadInputError' });
  }
  for (const source of ['no id!', {}, [], { 'config.json': 'text' }]) {
    await assert.rejects(Rescorer.fromPretrained(source, { worker }), { name: 'BadInputError' });
  }
});

test('a dtype that the device does not compute in is refused before anything is downloaded', async () => {
  const options = { device: 'wasm', dtype: 'mixed' };
  await assert.rejects(open({}, options, 'owner/never-asked'), lorb.DeviceRefusedError);
  const { rescorer } = await open({}, { ...options, device: 'webgpu' });
  assert.equal(rescorer.dtype, 'mixed');
  await rescorer.dispose();
});

test('missing WebGPU is reported before anything is downloaded', async () => {
  const control = { noGpu: true };
  await assert.rejects(open(control, { device: 'webgpu' }, 'owner/never-asked'), lorb.WebGPUNotAvailableError);
});

test('an unsupported model is rejected with the missing file', async () => {
  const without = (file) => Object.fromEntries(Object.entries(model()).filter(([name]) => name !== file));
  await assert.rejects(open({}, {}, without('config.json')), /no config\.json/);
  await assert.rejects(open({}, {}, without('tokenizer.json')), /neither tokenizer\.json nor vocab\.txt/);
  await assert.rejects(open({}, {}, without('model.safetensors')), lorb.UnsupportedModelError);
  await assert.rejects(open({}, {}, { ...model(), 'config.json': blob({ model_type: 'gpt2' }) }), lorb.UnsupportedModelError);
  await assert.rejects(open({}, { sha256: { 'model.safetensors': 'ab' } }), lorb.IntegrityError);
});

test('vocab.txt replaces tokenizer.json', async () => {
  const { 'tokenizer.json': _, ...rest } = model();
  const control = {};
  const { rescorer } = await open(control, {}, { ...rest, 'vocab.txt': blob('[PAD]') });
  assert.equal(control.tokenizer.vocab, '[PAD]');
  assert.equal(control.tokenizer.json, undefined);
  await rescorer.dispose();
});

test('the files next to a vocabulary reach the module, and its notes the caller', async () => {
  const settings = { 'tokenizer_config.json': '{"do_lower_case":false}', 'special_tokens_map.json': '{"cls_token":"<s>"}', 'added_tokens.json': '{"[NOISE]":7}' };
  const blobs = Object.fromEntries(Object.entries(settings).map(([name, text]) => [name, blob(text)]));
  const control = { notes: ['a note'] };
  const events = [];
  const { rescorer } = await open(control, { progress_callback: (event) => events.push(event) }, { ...model(), 'vocab.txt': blob('[PAD]'), ...blobs });
  const { json, vocab, settings: config, special, added } = control.tokenizer;
  assert.deepEqual([json, vocab, config, special, added], ['{}', undefined, ...Object.values(settings)]);
  assert.deepEqual(events.filter(({ status }) => status === 'note'), [{ status: 'note', name: 'files', message: 'a note' }]);
  await rescorer.dispose();
});

/** The second module; `control.tokenizers` counts what is alive. */
const fakeTokenizers = (control) => ({
  Tokenizer: class {
    constructor(config, files) {
      if (files['tokenizer.json']?.length === 1) throw Object.assign(new Error('tokenizer: x'), { name: 'UnsupportedModelError' });
      control.tokenizers = (control.tokenizers ?? 0) + 1;
      control.given = Object.keys(files);
    }
    memory = 100;
    free() {
      control.tokenizers--;
    }
  },
});

test('only a base with another tokenizer loads the second module, which counts as memory', async () => {
  const control = {};
  const roberta = { ...model(), 'config.json': blob({ model_type: 'roberta' }), 'special_tokens_map.json': blob('{}') };
  const worker = workerFactory(fakeWasm(control), [], fakeTokenizers(control));
  const { rescorer } = await open(control, { worker }, roberta);
  assert.deepEqual([control.tokenizers, control.given], [1, ['tokenizer.json', 'special_tokens_map.json']]);
  assert.equal((await rescorer.memory()).wasm, 101);
  await rescorer.dispose();
  assert.equal(control.tokenizers, 0);
  const bert = await open(control, { worker });
  assert.equal(control.tokenizers, 0);
  await bert.rescorer.dispose();
  await assert.rejects(open(control, { worker }, { ...roberta, 'tokenizer.json': blob('7') }), { name: 'UnsupportedModelError', message: 'tokenizer: x' });
});

test('the files of an older RoBERTa or CamemBERT replace tokenizer.json', async () => {
  const { 'tokenizer.json': _, ...rest } = { ...model(), 'config.json': blob({ model_type: 'roberta' }) };
  for (const names of [['vocab.json', 'merges.txt'], ['vocab.json'], ['sentencepiece.bpe.model']]) {
    const control = {};
    const worker = workerFactory(fakeWasm(control), [], fakeTokenizers(control));
    const files = Object.fromEntries(names.map((name) => [name, blob('{}')]));
    const { rescorer } = await open(control, { worker }, { ...rest, ...files });
    assert.deepEqual(control.given, names);
    await rescorer.dispose();
  }
});

test('weights in several files are loaded in the order of their names', async () => {
  const { 'model.safetensors': _, ...rest } = model();
  const shards = { 'model-2.safetensors': new Blob(['second']), 'model-1.safetensors': new Blob(['first']) };
  const index = { weight_map: { a: 'model-2.safetensors', b: 'model-1.safetensors', c: 'model-2.safetensors' } };
  const source = { ...rest, 'model.safetensors.index.json': blob(index), ...shards };
  assert.deepEqual(await Rescorer.stored(source), { bytes: 'firstsecond'.length, whole: true });
  const control = {};
  const { rescorer } = await open(control, {}, source);
  assert.deepEqual([control.begun, control.pushed], [[5, 6], [5, 6]]);
  assert.equal(rescorer.hash, createHash('sha256').update('firstsecond').digest('hex'));
  await rescorer.dispose();
  const { 'model-2.safetensors': gone, ...less } = source;
  await assert.rejects(open({}, {}, less), /has no model-2\.safetensors, which model\.safetensors\.index\.json names/);
  await assert.rejects(open({}, { sha256: { 'model-1.safetensors': 'ab' } }, source), lorb.IntegrityError);
});

test('shards are served, stored and refreshed like other files', async () => {
  const shard = (text) => Buffer.concat([Buffer.from([64, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(`{"${text}`)]);
  const index = Buffer.from(JSON.stringify({ weight_map: { a: 'm-1.safetensors', b: 'm-2.safetensors' } }));
  const files = {
    '/s/config.json': Buffer.from('{"model_type":"bert"}'),
    '/s/tokenizer.json': Buffer.from('{}'),
    '/s/model.safetensors.index.json': index,
    '/s/m-1.safetensors': shard('one'),
    '/s/m-2.safetensors': shard('two'),
  };
  const server = await serve(files);
  const cache = fakeCache();
  const load = async () => {
    const { rescorer } = await open({}, { cache }, `${server.root}/s/`);
    const { hash } = rescorer;
    await rescorer.dispose();
    return hash;
  };
  const of = (...shards) => createHash('sha256').update(Buffer.concat(shards)).digest('hex');
  const stored = () => Rescorer.stored(`${server.root}/s/`, { cache });
  assert.deepEqual(await stored(), { bytes: 0, whole: false });
  assert.equal(await load(), of(shard('one'), shard('two')));
  const bytes = shard('one').length + shard('two').length;
  assert.deepEqual(await stored(), { bytes, whole: true });
  assert.equal(await load(), of(shard('one'), shard('two')));
  server.files['/s/m-2.safetensors'] = shard('new');
  assert.equal(await load(), of(shard('one'), shard('new')));
  await server.close();
});

test('adapters record the hub id of their base, its folder or the given name, but never a URL', async () => {
  const files = (root) => ({
    [`${root}/config.json`]: Buffer.from('{"model_type":"bert"}'),
    [`${root}/tokenizer.json`]: Buffer.from('{}'),
    [`${root}/model.safetensors`]: Buffer.from(weights),
  });
  const server = await serve({ ...files('/models/small'), ...files('/owner/tiny/resolve/v1') });
  const stated = async (source, more = {}) => {
    const { rescorer } = await open({}, { cache: null, ...more }, source);
    for await (const _ of rescorer.createTrainer().run([{ ref: 'a', nbest: ['a', 'bb'] }]));
    const config = JSON.parse(await (await rescorer.saveAdapter())['adapter_config.json'].text());
    await rescorer.dispose();
    return config.baseName;
  };
  assert.equal(await stated(`${server.root}/models/small`), 'small');
  assert.equal(await stated(new URL(`${server.root}/models/small/?token=secret`)), 'small');
  assert.equal(await stated(`${server.root}/owner/tiny/resolve/v1/`), 'owner/tiny');
  assert.equal(await stated(`${server.root}/models/small`, { baseName: 'owner/small' }), 'owner/small');
  assert.equal(await stated(model(), { baseName: 'owner/small' }), 'owner/small');
  assert.equal(await stated(model()), undefined);
  await server.close();
});

test('a base comes from the hub, with the listed hash, and from the cache the next time', async () => {
  const root = '/owner/tiny/resolve/v1';
  const tree = [
    { path: 'config.json', size: 21 },
    { path: 'tokenizer.json', size: 2 },
    { path: 'model.safetensors', size: 130, lfs: { oid: hash, size: weights.length } },
  ];
  const server = await serve({
    '/api/models/owner/tiny/tree/v1': Buffer.from(JSON.stringify(tree)),
    [`${root}/config.json`]: Buffer.from('{"model_type":"bert"}'),
    [`${root}/tokenizer.json`]: Buffer.from('{}'),
    [`${root}/model.safetensors`]: Buffer.from(weights),
  });
  const cache = fakeCache();
  const events = [];
  const options = { host: server.root, revision: 'v1', cache, progress_callback: (event) => events.push(event) };
  const { rescorer } = await open({}, options, 'owner/tiny');
  assert.equal(rescorer.name, 'owner/tiny');
  await rescorer.dispose();
  const done = () => events.filter(({ status, file }) => status === 'done' && file === 'model.safetensors').at(-1);
  assert.deepEqual([done().from, done().verified], ['network', true]);
  server.faults.down = true;
  const again = await open({}, options, 'owner/tiny');
  assert.deepEqual([done().from, done().verified], ['cache', true]);
  await again.rescorer.dispose();

  server.faults.down = false;
  server.files[`${root}/model.safetensors`] = Buffer.from(weights).fill(8, 17, 18);
  await assert.rejects(open({}, { ...options, cache: fakeCache() }, 'owner/tiny'), lorb.IntegrityError);
  // Also if the worker detects the damage.
  await assert.rejects(open({ refuseByte: 8 }, { ...options, cache: fakeCache() }, 'owner/tiny'), lorb.IntegrityError);
  server.files['/api/models/owner/tiny/tree/v1'] = Buffer.from(JSON.stringify(tree.slice(0, 2)));
  await assert.rejects(open({}, { ...options, cache: fakeCache() }, 'owner/tiny'), lorb.UnsupportedModelError);
  await server.close();
});

test('loading and calls can be aborted', async () => {
  const reason = new Error('enough');
  await assert.rejects(open({}, { signal: AbortSignal.abort(reason) }), reason);
  const control = { listMs: 5 };
  const { rescorer } = await open(control, { adapter: adapter(1) });
  const controller = new AbortController();
  const lists = Array.from({ length: 50 }, () => ['a', 'b']);
  const seen = [];
  const options = { signal: controller.signal, onProgress: (done, total) => (seen.push([done, total]), done >= 4 && controller.abort()) };
  await assert.rejects(rescorer.rescoreAll(lists, options), { name: 'AbortError' });
  assert.deepEqual(seen, [[2, 100], [4, 100]]);
  // The worker stopped too, and accepts the next call.
  assert.equal((await rescorer.rescore(['a']))[0].lm, 1);
  assert.equal(control.sawAbort, true);
  await assert.rejects(rescorer.rescore(['a'], { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await rescorer.dispose();
});

test('a device lost while scoring is replaced, with base and adapters, and the call is repeated', async () => {
  const control = {};
  const events = [];
  const { rescorer, log } = await open(control, { progress_callback: (event) => events.push(event) });
  await rescorer.loadAdapter(adapter(2), { name: 'two' });
  await rescorer.loadAdapter(adapter(3), { name: 'three' });
  control.loseScoring = 1;
  const [one, other] = await Promise.all([rescorer.rescore(['ab']), rescorer.rescore(['a'])]);
  assert.deepEqual([one[0].lm, other[0].lm], [6, 3]);
  assert.equal(control.opens, 2);
  assert.equal(rescorer.deviceName, 'fake 2');
  assert.equal(events.filter(({ status }) => status === 'recover').length, 1);
  rescorer.setAdapter('two');
  assert.equal((await rescorer.rescore(['ab']))[0].lm, 4);
  await rescorer.deleteAdapter('three');
  control.loseScoring = 1;
  const before = log.length;
  assert.equal((await rescorer.rescore(['ab']))[0].lm, 4);
  assert.deepEqual(log.slice(before).filter(({ op }) => op === 'adapter.read').map(({ params }) => params.name), ['two']);
  control.loseScoring = 2;
  await assert.rejects(rescorer.rescore(['ab']), lorb.DeviceLostError);
  control.loseScoring = 0;
  assert.equal((await rescorer.rescore(['ab']))[0].lm, 4);
  await rescorer.dispose();
});

test('the core parses lists from texts and files', async () => {
  const worker = workerFactory(fakeWasm());
  const line = '{"id":"u","nbest":[{"text":"a"}]}\n';
  assert.equal((await lorb.parseNbest(line, 'x', { worker }))[0].id, 'u');
  assert.equal((await lorb.parseNbest(new Blob([line]), 'x', { worker }))[0].id, 'u');
  await assert.rejects(lorb.parseNbest(line + '{', 'my.jsonl', { worker }), (error) => error instanceof lorb.BadInputError && /my\.jsonl:2/.test(error.message));
});

test('a folder of files reaches the core as paths and contents', async () => {
  const worker = workerFactory(fakeWasm());
  const bytes = (text) => new TextEncoder().encode(text);
  const notes = [];
  const options = { worker, format: 'espnet', references: new Blob(['u c']), onNote: (note) => notes.push(note) };
  const [list] = await lorb.parseNbest({ 'output.1/1best_recog/text': 'u a', 'output.1/2best_recog/text': new Blob(['u b']) }, 'decode', options);
  assert.deepEqual(list.files, [['output.1/1best_recog/text', 'u a'], ['output.1/2best_recog/text', bytes('u b')]]);
  assert.deepEqual([list.format, list.references, notes], ['espnet', bytes('u c'), ['a note']]);
  // As a folder picker gives it.
  const file = Object.assign(new File(['u a'], 'text'), { webkitRelativePath: 'decode/output.1/1best_recog/text' });
  const [picked] = await lorb.parseNbest([file], 'decode', { worker });
  assert.deepEqual(picked.files, [['output.1/1best_recog/text', bytes('u a')]]);
});

test('errors keep their class when they cross from the worker', () => {
  for (const name of ['WebGPUNotAvailableError', 'DeviceRefusedError', 'DeviceLostError', 'QuotaError', 'UnsupportedModelError', 'BadInputError', 'AdapterError']) {
    const there = Object.assign(new Error('what'), { name });
    const here = fromWire(structuredClone(toWire(there)));
    assert.ok(here instanceof lorb[name] && here instanceof lorb.LorbError);
    assert.deepEqual([here.name, here.message], [name, 'what']);
  }
  assert.equal(fromWire(toWire(new WebAssembly.RuntimeError('unreachable'))).name, 'WorkerDiedError');
  assert.equal(fromWire(toWire(Object.assign(new Error('index 3 of 2'), { name: 'PanicError' }))).name, 'WorkerDiedError');
  assert.ok(fromWire(toWire(new DOMException('x', 'AbortError'))) instanceof DOMException);
  assert.equal(fromWire(toWire(new TypeError('x'))).name, 'TypeError');
  assert.equal(fromWire(toWire('text')).message, 'text');
});
