// Browsers that lack a feature, and workers that cannot start or end early.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { open, quiet } from './browser.mjs';
import { stage } from './stage.mjs';

const staged = stage();
afterEach(() => {
  for (const fault of Object.keys(staged.server.faults)) delete staged.server.faults[fault];
  staged.server.faults.hurt = () => true;
  staged.server.requests.length = 0;
});

/** Opens a page after running `script` in it. */
async function visit(script) {
  const { page, context, complaints } = await open(staged.browser, 'about:blank');
  if (script) await page.addInitScript(script);
  await page.goto(staged.server.root);
  await page.waitForFunction('window.lorb');
  return { page, context, complaints };
}

const load = (page, options = {}) =>
  page.evaluate(async (options) => {
    const events = [];
    const { worker, base = '/golden/tiny', ...rest } = options;
    if (worker) rest.worker = () => new Worker(worker, { type: 'module' });
    try {
      const rescorer = await window.lorb.Rescorer.fromPretrained(base, { device: 'wasm', progress_callback: (event) => events.push(event), ...rest });
      const { hash } = rescorer;
      await rescorer.dispose();
      return { hash, events };
    } catch (error) {
      const { name, message } = error;
      return { error: { name, message, ours: error instanceof window.lorb.LorbError }, events };
    }
  }, options);

const requested = () => staged.server.requests.filter(({ path }) => path.startsWith('/golden/'));

test('without WebAssembly or SIMD, nothing is downloaded', async () => {
  for (const script of ['delete globalThis.WebAssembly', 'WebAssembly.validate = () => false']) {
    const { page, context, complaints } = await visit(script);
    const { error } = await load(page);
    assert.equal(error.name, 'MissingFeatureError');
    assert.match(error.message, /WebAssembly.*update the browser/);
    assert.deepEqual(requested(), []);
    quiet(complaints);
    await context.close();
  }
});

test('a page over plain http, without crypto.subtle, storage and locks, loads and says that it stores nothing', async () => {
  const { page, context, complaints } = await visit(`
    Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined });
    delete Object.getPrototypeOf(globalThis).caches;
    delete globalThis.caches;
    delete Navigator.prototype.locks;
    delete Navigator.prototype.storage;`);
  assert.equal(await page.evaluate(() => 'caches' in globalThis || navigator.locks !== undefined), false);
  const { hash, events } = await load(page);
  assert.match(hash, /^[0-9a-f]{64}$/);
  assert.match(events.find(({ status }) => status === 'cache').reason, /Cache API|https/);
  const store = await page.evaluate(() => window.lorb.AdapterStore.open().catch(({ name, message }) => ({ name, message })));
  assert.equal(store.name, 'MissingFeatureError');
  assert.match(store.message, /https/);
  quiet(complaints);
  await context.close();
});

test('without createWritable, the worker writes', async () => {
  const { page, context, complaints } = await visit('delete FileSystemFileHandle.prototype.createWritable');
  const found = await page.evaluate(async () => {
    const store = await window.lorb.AdapterStore.open('lorb');
    await store.save('a/b', { 'x.json': new Blob(['a longer first version']), y: new Uint8Array(5_000_000).fill(7) });
    await store.save('a/b', { 'x.json': new Blob(['second']), y: new Uint8Array(0) });
    await store.save('a/b', { 'x.json': new Blob(['3']) });
    const again = await window.lorb.AdapterStore.open('lorb');
    return { names: await again.list(), text: await (await again.load('a/b'))['x.json'].text() };
  });
  assert.deepEqual(found, { names: ['a/b'], text: '3' });
  quiet(complaints);
  await context.close();
});

test('a worker or a wasm module that cannot be loaded is an error at once', async () => {
  const html = { body: Buffer.from('<!doctype html><title>Not found</title>'), headers: { 'content-type': 'text/html' } };
  for (const file of ['/lorb/worker.js', '/lorb/host.js', '/lorb/wasm/lorb.js', '/lorb/wasm/lorb_bg.wasm']) {
    for (const fault of [{ status: Array(9).fill(404) }, html]) {
      const { page, context, complaints } = await visit();
      Object.assign(staged.server.faults, { hurt: (path) => path === file }, fault);
      const started = performance.now();
      const { error } = await load(page);
      assert.ok(performance.now() - started < 10_000);
      assert.deepEqual([error.name, error.ours], ['WorkerDiedError', true], file);
      assert.match(error.message, file.endsWith('.wasm') ? /serve wasm\/lorb_bg\.wasm/ : /serve worker\.js/);
      assert.deepEqual(requested(), []);
      quiet(complaints, [/404|MIME|Failed to load/]);
      await context.close();
      for (const key of ['status', 'body', 'headers']) delete staged.server.faults[key];
    }
  }
});

test('the module with the other tokenizers is requested only by a base that needs it', async () => {
  const asked = () => staged.server.requests.filter(({ path }) => path.includes('lorb_tokenizer'));
  const { page, context, complaints } = await visit();
  assert.match((await load(page)).hash, /^[0-9a-f]{64}$/);
  assert.deepEqual(asked(), []);
  assert.match((await load(page, { base: '/golden/roberta' })).hash, /^[0-9a-f]{64}$/);
  assert.deepEqual(asked().map(({ path }) => path), ['/lorb/wasm/lorb_tokenizer.js', '/lorb/wasm/lorb_tokenizer_bg.wasm']);
  quiet(complaints);
  for (const file of ['/lorb/wasm/lorb_tokenizer.js', '/lorb/wasm/lorb_tokenizer_bg.wasm']) {
    Object.assign(staged.server.faults, { hurt: (path) => path === file, status: Array(9).fill(404) });
    const { error } = await load(page, { base: '/golden/roberta', cache: null });
    assert.deepEqual([error.name, error.ours], ['WorkerDiedError', true], file);
    assert.match(error.message, /serve wasm\/lorb_tokenizer\.js and wasm\/lorb_tokenizer_bg\.wasm with worker\.js/);
  }
  await context.close();
});

test('a policy that forbids the worker or WebAssembly is an error at once', async () => {
  for (const [policy, remedy] of [["worker-src 'none'", /serve worker\.js/], ["script-src 'self' 'unsafe-inline'", /wasm-unsafe-eval/]]) {
    // The policy of a worker comes with its own file.
    staged.server.faults.hurt = (path) => path === '/' || path === '/lorb/worker.js';
    staged.server.faults.headers = { 'content-security-policy': policy };
    const { page, context } = await visit();
    const { error } = await load(page);
    assert.equal(error.name, 'WorkerDiedError');
    assert.match(error.message, remedy);
    await context.close();
  }
});

test('a worker that ends without an event rejects pending calls and is replaced for the next', async () => {
  const { page, context, complaints } = await visit();
  const found = await page.evaluate(async () => {
    const code = `
      self.addEventListener('message', ({ data }) => data.end && self.close());
      await import('${location.origin}/lorb/worker.js');
      for (const event of early) self.onmessage(event);
      ready = true;`;
    const prelude = `let ready = false; const early = []; self.addEventListener('message', (event) => { if (!ready) { early.push(event); event.stopImmediatePropagation(); } });`;
    const workers = [];
    const worker = () => {
      workers.push(new Worker(URL.createObjectURL(new Blob([prelude + code], { type: 'text/javascript' })), { type: 'module' }));
      return workers.at(-1);
    };
    const events = [];
    const rescorer = await window.lorb.Rescorer.fromPretrained('/golden/tiny', { device: 'wasm', worker, progress_callback: (event) => events.push(event) });
    const before = await rescorer.tokenCounts(['turn off the light']);
    workers[0].terminate();
    const after = await rescorer.tokenCounts(['turn off the light']);
    workers[1].postMessage({ end: true });
    const last = await rescorer.tokenCounts(['turn off the light']);
    await rescorer.dispose();
    return { same: [after[0], last[0]].every((count) => count === before[0]), started: workers.length, reasons: events.filter(({ status }) => status === 'recover').map(({ reason }) => reason) };
  });
  assert.deepEqual(found, { same: true, started: 3, reasons: ['the worker ended', 'the worker ended'] });
  quiet(complaints);
  await context.close();
});
