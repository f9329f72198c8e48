// Missing features are errors before anything is downloaded; a worker that fails is an error at once.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Engine } from '../dist/engine.js';
import * as lorb from '../dist/index.js';
import { fakeFolder } from './fake-files.mjs';
import { fakeWasm } from './fake-wasm.mjs';
import { workerFactory } from './fake-worker.mjs';

const { AdapterStore, Rescorer, parseNbest } = lorb;
const blob = (value) => new Blob([JSON.stringify(value)]);
const model = () => ({ 'config.json': blob({ model_type: 'bert' }), 'tokenizer.json': blob({}), 'model.safetensors': blob('weights') });

/** Runs `work` while properties of objects have other values; `undefined` removes one. */
async function without(changes, work) {
  const restore = changes.map(([object, key, value]) => {
    const before = Object.getOwnPropertyDescriptor(object, key);
    delete object[key];
    if (value !== undefined) Object.defineProperty(object, key, { value, configurable: true, writable: true });
    return () => (before ? Object.defineProperty(object, key, before) : delete object[key]);
  });
  try {
    return await work();
  } finally {
    for (const undo of restore) undo();
  }
}

const refuse = () => assert.fail('nothing may be started');
const features = {
  fetch: [globalThis, 'fetch'],
  ReadableStream: [globalThis, 'ReadableStream'],
  Response: [globalThis, 'Response'],
  AbortController: [globalThis, 'AbortController'],
  'streams of responses': [Response.prototype, 'body'],
  WebAssembly: [globalThis, 'WebAssembly'],
  SIMD: [WebAssembly, 'validate', () => false],
};
for (const [name, change] of Object.entries(features)) {
  test(`without ${name}, loading fails before a worker or a request starts`, () =>
    without([change, ...(name === 'fetch' ? [] : [[globalThis, 'fetch', refuse]])], async () => {
      for (const source of [model(), 'owner/model']) {
        await assert.rejects(Rescorer.fromPretrained(source, { device: 'wasm', worker: refuse }), (error) => {
          assert.ok(error instanceof lorb.MissingFeatureError && error instanceof lorb.LorbError);
          assert.equal(error.name, 'MissingFeatureError');
          assert.match(error.message, new RegExp(`${name}.* is missing here: .*update the browser`));
          return true;
        });
      }
    }));
}

test('a page without workers must pass one', async () => {
  await assert.rejects(Rescorer.fromPretrained(model()), { name: 'MissingFeatureError', message: /Worker.*option `worker`/ });
  await assert.rejects(parseNbest('a'), { name: 'MissingFeatureError' });
});

test('a page without a private file system is told when the store opens', async () => {
  const { root } = fakeFolder();
  await assert.rejects(AdapterStore.open(), { name: 'MissingFeatureError', message: /private file system/ });
  const denied = { getDirectory: async () => Promise.reject(new DOMException('private window', 'SecurityError')) };
  const storage = (value) => [globalThis, 'navigator', { storage: value }];
  await without([storage(denied)], () => assert.rejects(AdapterStore.open(), { name: 'MissingFeatureError', message: /private window/ }));
  // Neither the page nor the worker can write.
  class FileSystemFileHandle {}
  const worker = workerFactory(fakeWasm());
  await without([storage({ getDirectory: async () => root }), [globalThis, 'FileSystemFileHandle', FileSystemFileHandle]], () =>
    assert.rejects(AdapterStore.open('lorb', undefined, { worker }), { name: 'MissingFeatureError', message: /createWritable/ }));
});

test('no storage at all: the base loads, with an event that says why', async () => {
  const files = model();
  const fetch = async (url) => {
    const found = files[String(url).split('/').pop()];
    if (!found) return new Response(null, { status: 404 });
    const bytes = new Uint8Array(await found.arrayBuffer());
    if (String(url).endsWith('.safetensors')) bytes.set([2, 0, 0, 0, 0, 0, 0, 0, 0x7b]);
    return new Response(bytes, { headers: { 'content-length': String(bytes.length) } });
  };
  files['model.safetensors'] = new Blob([new Uint8Array(100)]);
  const caches = { open: async () => Promise.reject(new DOMException('quota is 0', 'QuotaExceededError')) };
  for (const [change, reason] of [[[globalThis, 'caches'], /no Cache API/], [[globalThis, 'caches', caches], /quota is 0/]]) {
    const events = [];
    await without([change, [globalThis, 'fetch', fetch]], async () => {
      const options = { device: 'wasm', worker: workerFactory(fakeWasm()), progress_callback: (event) => events.push(event) };
      await (await Rescorer.fromPretrained(`http://localhost/${Math.random()}/`, options)).dispose();
    });
    const told = events.filter(({ status }) => status === 'cache');
    assert.equal(told.length, 1);
    assert.match(told[0].reason, reason);
  }
});

/** A worker that does only what the test makes it do. */
function puppet() {
  const worker = { sent: [], terminated: false, postMessage: (message) => worker.sent.push(message), terminate: () => (worker.terminated = true) };
  return worker;
}

test('a worker that cannot be created is an error with a remedy', async () => {
  const thrown = new DOMException('another origin', 'SecurityError');
  for (const worker of [() => { throw thrown; }, () => undefined, () => { throw new ReferenceError('no'); }]) {
    await assert.rejects(Rescorer.fromPretrained(model(), { worker }), { name: 'WorkerDiedError', message: /could not be started.*bundlers/ });
    await assert.rejects(parseNbest('a', 'x', { worker }), { name: 'WorkerDiedError' });
  }
});

test('a worker that fails to load, answers nonsense or does not answer rejects pending and later calls', async () => {
  const ends = {
    'could not be loaded.*serve worker.js': (worker) => worker.onerror({}),
    'sent an unreadable message': (worker) => worker.onmessageerror(),
    'computation failed: boom': (worker) => worker.onmessage({ data: { fatal: 'boom' } }),
    'does not answer.*serve worker.js': () => {},
  };
  for (const [message, end] of Object.entries(ends)) {
    const worker = puppet();
    const engine = new Engine(() => worker, 50);
    const pending = [engine.call('model.memory', {}), engine.call('dispose', {})];
    setTimeout(() => end(worker));
    for (const call of pending) await assert.rejects(call, { name: 'WorkerDiedError', message: new RegExp(message) });
    await assert.rejects(engine.call('model.memory', {}), { name: 'WorkerDiedError', message: new RegExp(message) });
    assert.ok(worker.terminated);
  }
});

test('a worker that has answered may compute for longer', async () => {
  const worker = puppet();
  const engine = new Engine(() => worker, 20);
  worker.onmessage({ data: { lock: '' } });
  const call = engine.call('model.memory', {});
  await new Promise((resolve) => setTimeout(resolve, 60));
  worker.onmessage({ data: { id: 1, result: 7 } });
  assert.equal(await call, 7);
  engine.terminate();
});

test('the end of a worker is noticed by its lock', async () => {
  let free;
  const request = (name, options, granted) => {
    if (options.ifAvailable) return Promise.resolve(granted(null));
    return new Promise((resolve) => (free = () => resolve(options())));
  };
  await without([[globalThis, 'navigator', { locks: { request: (name, options, granted) => request(name, options, granted) } }]], async () => {
    const worker = puppet();
    const engine = new Engine(() => worker);
    worker.onmessage({ data: { lock: 'l' } });
    const call = engine.call('model.memory', {});
    setTimeout(() => free());
    await assert.rejects(call, { name: 'WorkerDiedError', message: /the worker ended/ });
  });
});

test('without locks, the end of a worker is noticed by a port', async (t) => {
  const worker = puppet();
  const engine = new Engine(() => worker);
  worker.onmessage({ data: { lock: '' } });
  const call = engine.call('model.memory', {});
  // Ports do not keep Node.js running.
  const alive = setInterval(() => {}, 50);
  t.after(() => clearInterval(alive));
  await new Promise((resolve) => setTimeout(resolve));
  worker.sent.find(({ port }) => port).port.close();
  await assert.rejects(call, { name: 'WorkerDiedError', message: /the worker ended/ });
});

test('a package of another origin is imported by a worker of this one', async () => {
  const started = [];
  class Worker {
    constructor(url) {
      if (String(url).startsWith('file:')) throw new DOMException('another origin', 'SecurityError');
      Object.assign(this, puppet());
      started.push(url);
    }
  }
  await without([[globalThis, 'Worker', Worker]], async () => {
    const engine = new Engine();
    assert.match(await (await fetch(started[0])).text(), /^import "file:.*\/dist\/worker\.js"$/);
    engine.terminate();
  });
});

test('a worker that cannot be replaced is a WorkerDiedError, at once', async () => {
  const start = workerFactory(fakeWasm({}));
  let started = 0;
  let current;
  const worker = () => {
    if (started++ > 0) throw new Error('gone');
    return (current = start());
  };
  const rescorer = await Rescorer.fromPretrained(model(), { device: 'wasm', worker });
  current.onerror({ message: 'killed' });
  for (let call = 0; call < 2; call++) {
    await assert.rejects(rescorer.rescore(['a']), { name: 'WorkerDiedError', message: /killed.*restart failed.*gone/ });
  }
  await rescorer.dispose();
});

test('options are checked before anything is started', async () => {
  const load = [
    { devcie: 'wasm' }, { revision: 3 }, { revision: '' }, { host: 'hub' }, { progress_callback: 1 }, { signal: {} }, { cache: {} }, { cache: 'c' },
    { refresh: 'yes' }, { local_files_only: 1 }, { sha256: 'ab' }, { sha256: { x: 1 } }, { baseName: '' }, { worker: {} }, { refresh: true, local_files_only: true }, { refresh: true, localFilesOnly: true }, { progressCallback: 1 }, { localFilesOnly: 1 },
  ];
  for (const options of load) {
    const key = Object.keys(options)[0];
    await assert.rejects(Rescorer.fromPretrained('owner/model', { worker: refuse, ...options }), { name: 'BadInputError', message: new RegExp(key) });
  }
  await assert.rejects(Rescorer.fromPretrained('owner/model', null), { name: 'BadInputError' });
  for (const source of ['', ' ', undefined, null, 7, [], {}, [{ name: 'config.json' }]]) await assert.rejects(Rescorer.fromPretrained(source, { worker: refuse }), { name: 'BadInputError' });
  for (const call of ['stored', 'files', 'isCached', 'clearCache']) await assert.rejects(Rescorer[call]('owner/model', { revison: 'v1' }), { name: 'BadInputError', message: /revison/ });
  for (const options of [{ scoreKind: 'costs' }, { scoreKey: 1 }, { format: '' }, { acousticScale: NaN }, { onNote: 1 }, { fromat: 'jsonl' }]) {
    await assert.rejects(parseNbest('a', 'x', { worker: refuse, ...options }), { name: 'BadInputError', message: new RegExp(Object.keys(options)[0]) });
  }
  const log = [];
  const rescorer = await Rescorer.fromPretrained(model(), { device: 'wasm', worker: workerFactory(fakeWasm(), log) });
  const before = log.length;
  const weights = [{}, { beta: NaN }, { beta: '1' }, { beta: 1, gamma: Infinity }, { beta: 1, parts: { am: NaN } }, { beta: 1, parts: 2 }, null];
  const call = [...[-5, 0, 1.5, NaN, '8'].map((batchTokens) => ({ batchTokens })), ...weights.map((given) => ({ weights: given })), { onProgress: 1 }, { signal: 1 }, { beta: 1 }, { normalize: 'upper' }, { unit: 'words' }, { join: 1 }];
  for (const options of call) {
    await assert.rejects(rescorer.rescore(['a'], options), { name: 'BadInputError', message: new RegExp(Object.keys(options)[0]) });
    await assert.rejects(rescorer.rerank([['a']], options), { name: 'BadInputError' });
  }
  await assert.rejects(rescorer.evaluate([], { seed: -1 }), { name: 'BadInputError' });
  await assert.rejects(rescorer.tune([], { gamma: 1 }), { name: 'BadInputError' });
  await assert.rejects(rescorer.loadAdapter(model(), { name: '' }), { name: 'BadInputError' });
  await assert.rejects(rescorer.tokenCounts(['a'], { sginal: 1 }), { name: 'BadInputError', message: /sginal/ });
  for (const options of [null, { adapter: '' }, { from: 3 }]) assert.throws(() => rescorer.createTrainer(options), { name: 'BadInputError' });
  assert.throws(() => rescorer.createTrainer({ epochs: NaN }), { name: 'BadInputError', message: /epochs is NaN/ });
  await assert.rejects(rescorer.createTrainer().run([], [], { checkpoint: 'x' }).next(), { name: 'BadInputError', message: /checkpoint/ });
  assert.equal(log.length, before);
  // Data that cannot be sent is an error of the caller, not of the worker.
  await assert.rejects(rescorer.rerank([{ nbest: ['a'], site: () => {} }]), { name: 'BadInputError' });
  assert.equal((await rescorer.rescore(['a'])).length, 1);
  await rescorer.dispose();
});

test('the names of errors are literal', () => {
  for (const [name, type] of Object.entries(lorb)) {
    if (!name.endsWith('Error')) continue;
    assert.ok(Object.hasOwn(type.prototype, 'name'), name);
    assert.equal(type.prototype.name, name);
  }
});
