// Downloads in a real browser: cached, resumed, rejected, and without WebGPU.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';

import { launch, open, quiet } from './browser.mjs';
import { minilm, root } from './site.mjs';
import { stage } from './stage.mjs';

const weights = (path) => path.endsWith('/model.safetensors');
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const staged = stage();
afterEach(() => {
  for (const fault of Object.keys(staged.server.faults)) delete staged.server.faults[fault];
  staged.server.faults.hurt = () => true;
  staged.server.requests.length = 0;
});

/** Loads a base in the page and returns the events, the outcome and a score. */
function load(page, folder, options = {}) {
  return page.evaluate(
    async ([folder, options]) => {
      const events = [];
      const { abortAt, ...rest } = options;
      const controller = new AbortController();
      const progress_callback = (event) => {
        events.push(event);
        if (event.file === 'model.safetensors' && event.loaded >= abortAt) controller.abort();
      };
      try {
        const rescorer = await window.lorb.Rescorer.fromPretrained(folder, { device: 'wasm', progress_callback, signal: controller.signal, ...rest });
        const { hash } = rescorer;
        const memory = await rescorer.memory();
        const cls = Array.from((await rescorer.encode(['turn off the light'])).slice(0, 4));
        await rescorer.dispose();
        return { events, hash, cls, memory };
      } catch (error) {
        const { name, message, url, expected, actual, status } = error;
        return { events, error: { name, message, url, expected, actual, status } };
      }
    },
    [folder, options],
  );
}

const done = ({ events }) => events.find(({ status, file }) => status === 'done' && file === 'model.safetensors');

test('a second visit needs no network for the base', async () => {
  const { page, context, complaints } = await staged.visit();
  const first = await load(page, '/golden/tiny');
  assert.equal(done(first).from, 'network');
  assert.equal(first.hash, sha256(readFileSync(join(root, 'tests/golden/tiny/model.safetensors'))));
  await page.reload();
  await page.waitForFunction('window.lorb');
  // The site decides how to cache the worker and the wasm module.
  staged.server.faults.down = true;
  staged.server.faults.hurt = (path) => path.startsWith('/golden/');
  staged.server.requests.length = 0;
  const second = await load(page, '/golden/tiny');
  assert.equal(second.error, undefined);
  assert.deepEqual([done(second).from, done(second).verified], ['cache', true]);
  assert.deepEqual(second.cls, first.cls);
  // It asks only whether the files have changed.
  assert.deepEqual(staged.server.requests.filter(({ path, method }) => path.startsWith('/golden/') && method !== 'HEAD'), []);
  quiet(complaints, [/ERR_EMPTY_RESPONSE|ERR_CONNECTION|Failed to load resource/]);
  await context.close();
});

test('loading MiniLM takes at most 1.5 times its size in wasm memory', async (t) => {
  const { page, context, complaints } = await staged.visit();
  const size = readFileSync(join(minilm(), 'model.safetensors')).length;
  const loaded = await load(page, '/minilm');
  assert.equal(loaded.error, undefined);
  t.diagnostic(`${loaded.memory.wasm} bytes of wasm memory for a base of ${size}`);
  assert.ok(loaded.memory.wasm <= 1.5 * size, `${loaded.memory.wasm} for ${size}`);
  quiet(complaints);
  await context.close();
});

test('an interrupted download resumes, now and in a later visit', async () => {
  const { page, context, complaints } = await staged.visit();
  staged.server.faults.cutAfter = 9 << 20;
  staged.server.faults.hurt = weights;
  const cut = await load(page, '/minilm', { abortAt: 30 << 20 });
  assert.equal(cut.error.name, 'AbortError');
  const retry = cut.events.find(({ status }) => status === 'retry');
  await page.reload();
  await page.waitForFunction('window.lorb');
  const whole = await load(page, '/minilm');
  assert.equal(whole.error, undefined);
  assert.equal(whole.hash, sha256(readFileSync(join(minilm(), 'model.safetensors'))));
  const ranges = staged.server.requests.filter(({ path, method }) => weights(path) && method === 'GET').map(({ range }) => Number(/\d+/.exec(range ?? '0')[0]));
  assert.equal(ranges.length, 3);
  // Chromium discards bytes that were received but not yet read when the connection broke. At least one part was read.
  assert.ok(ranges[1] >= 4 << 20 && ranges[1] <= 9 << 20 && ranges[1] === retry.loaded, `${ranges}`);
  assert.ok(ranges[2] >= 28 << 20, `${ranges}`);
  quiet(complaints, [/ERR_CONTENT_LENGTH_MISMATCH|ERR_INCOMPLETE_CHUNKED|Failed to load resource/]);
  await context.close();
});

test('a corrupt download is rejected and not cached', async () => {
  const { page, context, complaints } = await staged.visit();
  const expected = 'ab'.repeat(32);
  staged.server.faults.linked = `"${expected}"`;
  staged.server.faults.hurt = weights;
  const { error } = await load(page, '/golden/tiny');
  assert.equal(error.name, 'IntegrityError');
  assert.equal(error.expected, expected);
  assert.equal(error.actual, sha256(readFileSync(join(root, 'tests/golden/tiny/model.safetensors'))));
  assert.match(error.url, /model\.safetensors$/);
  delete staged.server.faults.linked;
  const again = await load(page, '/golden/tiny');
  assert.equal(done(again).from, 'network');
  quiet(complaints);
  await context.close();
});

test('an HTML page in place of a file is not kept', async () => {
  const { page, context, complaints } = await staged.visit();
  for (const file of ['config.json', 'tokenizer.json', 'model.safetensors']) {
    staged.server.faults.hurt = (path) => path.endsWith(`/tiny/${file}`);
    Object.assign(staged.server.faults, { body: Buffer.from('<!doctype html><title>Log in</title>'), headers: { 'content-type': 'text/html' } });
    const { error } = await load(page, '/golden/tiny');
    assert.equal(error.name, 'SourceError');
    assert.match(error.message, new RegExp(`${file}.*HTML`));
    staged.server.faults.hurt = () => false;
    assert.equal((await load(page, '/golden/tiny')).error, undefined);
    await page.evaluate(() => caches.delete('lorb'));
  }
  quiet(complaints);
  await context.close();
});

test('a replaced file and an evicted one lead to files of one version', async () => {
  const { page, context, complaints } = await staged.visit();
  const config = JSON.parse(readFileSync(join(root, 'tests/golden/tiny/config.json'), 'utf8'));
  const requested = () => staged.server.requests.filter(({ path, method }) => path.startsWith('/golden/') && method === 'GET').length;
  const first = await load(page, '/golden/tiny');
  staged.server.files['/golden/tiny/config.json'] = Buffer.from(JSON.stringify({ ...config, layer_norm_eps: 0.1 }));
  try {
    staged.server.requests.length = 0;
    const second = await load(page, '/golden/tiny');
    assert.notDeepEqual(second.cls, first.cls);
    // Three files, and three that a base may lack.
    assert.equal(requested(), 6);
    await page.evaluate(async () => {
      const cache = await caches.open('lorb');
      for (const { url } of await cache.keys()) if (url.includes('/tokenizer.json')) await cache.delete(url);
    });
    staged.server.requests.length = 0;
    assert.deepEqual((await load(page, '/golden/tiny')).cls, second.cls);
    assert.equal(requested(), 1);
  } finally {
    delete staged.server.files['/golden/tiny/config.json'];
  }
  assert.deepEqual((await load(page, '/golden/tiny')).cls, first.cls);
  quiet(complaints);
  await context.close();
});

test('a full disk falls back to memory with an event', async () => {
  const { page, context, complaints } = await staged.visit();
  const session = await context.newCDPSession(page);
  await session.send('Storage.overrideQuotaForOrigin', { origin: staged.server.root, quotaSize: 6 << 20 });
  const first = await load(page, '/minilm');
  assert.equal(first.error, undefined);
  const told = first.events.filter(({ status }) => status === 'cache');
  assert.equal(told.length, 1);
  assert.equal(told[0].fallback, 'memory');
  // The same page continues without the network.
  staged.server.faults.down = true;
  staged.server.faults.hurt = (path) => path.startsWith('/minilm/');
  const second = await load(page, '/minilm');
  assert.equal(done(second).from, 'cache');
  assert.deepEqual(second.cls, first.cls);
  quiet(complaints, [/quota|ERR_EMPTY_RESPONSE|ERR_CONNECTION|Failed to load resource/i]);
  await context.close();
});

test('errors name missing files and unsupported models', async () => {
  const { page, context, complaints } = await staged.visit();
  assert.equal((await load(page, '/golden')).error.name, 'UnsupportedModelError');
  assert.equal((await load(page, '/nowhere')).error.name, 'UnsupportedModelError');
  assert.equal((await load(page, '/golden/tiny', { device: 'cuda' })).error.name, 'BadInputError');
  const adapter = await load(page, '/golden/tiny', { adapter: '/golden/minilm/adapter' });
  assert.equal(adapter.error.name, 'AdapterError');
  quiet(complaints, [/404/]);
  await context.close();
});

test('without WebGPU, the device webgpu is an error and wasm works', async () => {
  const without = await launch({ webgpu: false });
  try {
    const { page, complaints } = await open(without, staged.server.root);
    const refused = await load(page, '/golden/tiny', { device: 'webgpu' });
    assert.equal(refused.error.name, 'WebGPUNotAvailableError');
    assert.match(refused.error.message, /wasm/);
    assert.deepEqual(staged.server.requests.filter(({ path }) => path.startsWith('/golden/')), []);
    assert.equal((await load(page, '/golden/tiny')).error, undefined);
    quiet(complaints, [/No available adapters/]);
  } finally {
    await without.close();
  }
});
