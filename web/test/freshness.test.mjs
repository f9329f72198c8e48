// What is stored is checked before, belongs to one version of a model, and follows the server.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';

import { Rescorer } from '../dist/index.js';
import { impostor } from '../dist/contents.js';
import { sha256 } from '../dist/sha256.js';
import { fakeCache } from './fake-cache.mjs';
import { fakeWasm } from './fake-wasm.mjs';
import { workerFactory } from './fake-worker.mjs';
import { serve } from './server.mjs';

const SMALL = ['config.json', 'tokenizer.json'];
const FILES = [...SMALL, 'model.safetensors'];
/** Files that a base may lack, as this one does. */
const OPTIONAL = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'];
const weights = (fill) => {
  const bytes = Buffer.alloc(10_000, fill);
  bytes.set([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]);
  return bytes;
};
const json = (value) => Buffer.from(JSON.stringify(value));
const version = (n) => ({ 'config.json': json({ model_type: 'bert', n }), 'tokenizer.json': json({ n }), 'model.safetensors': weights(n) });
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');

let server, cache;
beforeEach(async () => {
  server = await serve({});
  cache = fakeCache();
  publish(version(1));
});
afterEach(() => server.close());

function publish(files, folder = '/m') {
  for (const [name, bytes] of Object.entries(files)) server.files[`${folder}/${name}`] = bytes;
}

/** Loads the base and returns what the worker was given, and the requests. */
async function load(options = {}, control = {}) {
  server.requests.length = 0;
  const rescorer = await Rescorer.fromPretrained(`${server.root}/m/`, { device: 'wasm', cache, worker: workerFactory(fakeWasm(control)), ...options });
  await rescorer.dispose();
  const asked = (method) => server.requests.filter((request) => request.method === method).map(({ path }) => path.split('/').pop());
  return { hash: rescorer.hash, tokenizer: JSON.parse(control.tokenizer.text).n, gets: asked('GET'), heads: asked('HEAD') };
}

const hurt = (file) => (path) => path.endsWith(file);
const evict = (file) => [...cache.entries.keys()].filter((key) => key.includes(`/${file}?`)).forEach((key) => cache.entries.delete(key));

const HTML = Buffer.from('\n<!DOCTYPE html><title>Log in</title><p>Please log in to see this file, which needs an account.</p>');
const POINTER = Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 1234567\n');
const XML = Buffer.from('<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>No access to this object</Message></Error>');

for (const file of FILES) {
  const cases = {
    'an HTML page': { body: HTML, headers: { 'content-type': 'text/html; charset=utf-8' } },
    'an HTML page of another type': { body: HTML, headers: { 'content-type': 'application/octet-stream' } },
    'a Git LFS pointer': { body: POINTER },
    'an XML error': { body: XML },
    'an empty body': { body: Buffer.alloc(0) },
    'a part of the file': { as: 206 },
    'no content': { as: 204 },
    'another success': { as: 203 },
    'a missing file': { status: [404, 404, 404, 404] },
    'a file of unknown length that is none': { body: POINTER, noLength: true },
  };
  for (const [what, fault] of Object.entries(cases)) {
    test(`${what} in place of ${file} is not stored, and the next visit loads`, async () => {
      Object.assign(server.faults, fault, { hurt: hurt(file) });
      // A missing tokenizer.json is legal; then vocab.txt is missing.
      await assert.rejects(load(), (error) => ['SourceError', 'UnsupportedModelError'].includes(error.name) && error.message.includes('/m') || /^m has/.test(error.message));
      assert.deepEqual([...cache.entries.keys()].filter((key) => key.includes(`/${file}?`)), []);
      Object.assign(server.faults, { hurt: () => false });
      assert.equal((await load()).hash, hash(weights(1)));
    });
  }

  test(`a new version of ${file} replaces the whole set, once`, async () => {
    await load();
    const next = version(2);
    publish({ [file]: next[file] });
    const updated = await load();
    assert.deepEqual(updated.gets.sort(), [...FILES, ...OPTIONAL].sort());
    assert.equal(updated.hash, hash(file === FILES[2] ? weights(2) : weights(1)));
    assert.equal(updated.tokenizer, file === 'tokenizer.json' ? 2 : 1);
    assert.deepEqual((await load()).gets, []);
  });

  test(`if ${file} was evicted, it is fetched, and all files if the others cannot be compared`, async () => {
    await load();
    evict(file);
    assert.deepEqual((await load()).gets.filter((name) => name in version(1)), [file]);
    evict(file);
    publish(version(2));
    const updated = await load();
    assert.deepEqual([updated.hash, updated.tokenizer], [hash(weights(2)), 2]);
    evict(file);
    publish(version(3));
    server.faults.noHead = true;
    const blind = await load();
    assert.deepEqual([blind.hash, blind.tokenizer], [hash(weights(3)), 3]);
  });
}

test('a body that the core rejects is not stored', async () => {
  for (const [file, bad] of [['config.json', json({ model_type: 'gpt2' })], ['config.json', Buffer.from('{"model_type": ')], ['model.safetensors', weights(9)]]) {
    publish({ [file]: bad });
    await assert.rejects(load({}, { refuseByte: 9 }), ({ message }) => file === 'model.safetensors' || !message.includes('safetensors'));
    assert.equal(cache.entries.size, 0);
    publish(version(1));
    assert.equal((await load({}, { refuseByte: 9 })).hash, hash(weights(1)));
    cache.entries.clear();
  }
});

test('an error that is not about the files keeps them', async () => {
  for (const finishFails of ['DeviceRefusedError', 'DeviceLostError', 'WorkerDiedError', 'QuotaError']) {
    await assert.rejects(load({}, { finishFails }), { name: finishFails });
    assert.deepEqual((await load()).gets, []);
  }
  await assert.rejects(load({}, { finishFails: 'UnsupportedModelError' }), { name: 'UnsupportedModelError' });
  assert.equal(cache.entries.size, 0);
});

test('a bad config does not make the weights be downloaded', async () => {
  publish({ 'config.json': json({ model_type: 'gpt2' }) });
  await assert.rejects(load({ sha256: { 'model.safetensors': hash(weights(1)) } }), /model_type/);
  assert.ok(server.requests.filter(({ path }) => path.endsWith('model.safetensors')).length <= 1);
});

test('a body of another length is never used', async () => {
  server.faults.hurt = hurt('model.safetensors');
  server.faults.headers = { 'content-length': '20000' };
  await assert.rejects(load({ signal: AbortSignal.timeout(300) }));
  delete server.faults.headers;
  assert.equal((await load()).hash, hash(weights(1)));
});

test('a file of another length than the hub lists is refused', async () => {
  publish(version(1), '/o/m/resolve/main');
  server.files['/api/models/o/m/tree/main'] = json(FILES.map((path) => ({ path, oid: path, size: 3 })));
  const options = { host: server.root, device: 'wasm', cache, worker: workerFactory(fakeWasm({})) };
  await assert.rejects(Rescorer.fromPretrained('o/m', options), { name: 'SourceError', message: /config\.json.*lists/ });
  assert.equal(cache.entries.size, 0);
});

test('without crypto.subtle, hashes are the same', async () => {
  const { subtle } = crypto;
  const lengths = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000];
  try {
    Object.defineProperty(crypto, 'subtle', { value: undefined, configurable: true });
    for (const length of lengths) {
      const bytes = Buffer.from(Array.from({ length }, (_, at) => (at * 37 + length) & 255));
      assert.equal(await sha256(new Uint8Array(bytes).buffer), hash(bytes), `${length}`);
    }
    assert.equal((await load()).hash, hash(weights(1)));
  } finally {
    Object.defineProperty(crypto, 'subtle', { value: subtle, configurable: true });
  }
});

test('stored files load offline, with a server that fails, and without a way to compare', async () => {
  await load();
  for (const fault of [{ down: true }, { status: Array(9).fill(503) }, { noHead: true }, { body: HTML, headers: { 'content-type': 'text/html' } }, { status: Array(9).fill(404) }]) {
    Object.assign(server.faults, fault);
    const { hash: found, gets } = await load();
    // Whether an optional file is still missing is asked again, unless the answer to HEAD says so; after a page in its place too.
    const asked = fault.noHead || fault.body || fault.status?.[0] === 404 ? OPTIONAL : [];
    assert.deepEqual([found, gets], [hash(weights(1)), asked], JSON.stringify(Object.keys(fault)));
    for (const name of Object.keys(fault)) delete server.faults[name];
  }
  assert.deepEqual((await load({ local_files_only: true })).heads, []);
});

test('without a way to compare, refresh downloads again', async () => {
  Object.assign(server.faults, { noHead: true, noEtag: true });
  await load();
  publish(version(2));
  assert.equal((await load()).hash, hash(weights(1)));
  assert.deepEqual(await load({ refresh: true }).then(({ hash: found, tokenizer }) => [found, tokenizer]), [hash(weights(2)), 2]);
});

test('files replaced while they are downloaded are not mixed', async () => {
  let replaced = false;
  const progress_callback = ({ status, file }) => {
    if (status !== 'initiate' || file !== 'model.safetensors' || replaced) return;
    replaced = true;
    publish(version(2));
  };
  for (const options of [{}, { cache: null }]) {
    publish(version(1));
    replaced = false;
    const { hash: found, tokenizer } = await load({ progress_callback, ...options });
    assert.deepEqual([found, tokenizer], [hash(weights(2)), 2]);
    cache.entries.clear();
  }
});

test('an optional file that was missing is noticed when it appears, also without HEAD', async () => {
  for (const noHead of [false, true]) {
    server.faults.noHead = noHead;
    cache.entries.clear();
    delete server.files['/m/tokenizer.json'];
    publish({ 'vocab.txt': Buffer.from('"vocab"') });
    assert.equal((await load()).tokenizer, undefined);
    publish(version(1));
    assert.equal((await load()).tokenizer, 1);
  }
});

test('weakened and compressed tags are the same version', async () => {
  server.faults.headers = { etag: '"abc"' };
  await load();
  for (const etag of ['W/"abc"', '"abc-gzip"', 'W/"abc-br"']) {
    server.faults.headers = { etag };
    assert.deepEqual((await load()).gets, []);
  }
  server.faults.headers = { etag: '"abd"' };
  assert.equal((await load()).gets.length, 6);
});

test('an updated adapter is seen, and a rejected one is not stored', async () => {
  const base = hash(weights(1));
  const adapter = (factor, of = base) => ({ 'adapter_config.json': json({ base: of }), 'adapter_model.safetensors': Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), json({ factor, beta: 1 })]) });
  const wasm = fakeWasm({});
  // The fake reads the JSON after the length.
  const { readAdapter } = wasm.Model.prototype;
  wasm.Model.prototype.readAdapter = function (name, config, bytes) {
    return readAdapter.call(this, name, config, bytes.subarray(8));
  };
  wasm.Model.prototype.writeAdapter = () => ({});
  publish(adapter(2), '/a');
  const rescorer = await Rescorer.fromPretrained(`${server.root}/m/`, { device: 'wasm', cache, worker: workerFactory(wasm) });
  const lm = async () => {
    await rescorer.loadAdapter(`${server.root}/a/`);
    return (await rescorer.rescore(['ab']))[0].lm;
  };
  assert.equal(await lm(), 4);
  publish(adapter(3), '/a');
  assert.equal(await lm(), 6);
  publish(adapter(3, 'another'), '/a');
  await assert.rejects(lm(), { name: 'AdapterError' });
  assert.deepEqual([...cache.entries.keys()].filter((key) => key.includes('/a/')), []);
  publish(adapter(4), '/a');
  assert.equal(await lm(), 8);
  await rescorer.dispose();
});

test('the hub is asked once for all files; a commit is not asked for', async () => {
  for (const [revision, listings] of [['main', 1], ['0123456789'.repeat(4), 0]]) {
    const tree = (n) => FILES.map((path) => ({ path, oid: `${path} ${n}`, size: version(n)[path].length }));
    server.files[`/api/models/o/m/tree/${revision}`] = json(tree(1));
    publish(version(1), `/o/m/resolve/${revision}`);
    const options = () => ({ host: server.root, revision, device: 'wasm', cache, worker: workerFactory(fakeWasm({})) });
    const visit = async () => {
      server.requests.length = 0;
      const rescorer = await Rescorer.fromPretrained('o/m', options());
      await rescorer.dispose();
      return rescorer.hash;
    };
    await visit();
    assert.equal(await visit(), hash(weights(1)));
    assert.equal(server.requests.length, listings);
    server.files[`/api/models/o/m/tree/${revision}`] = json(tree(2));
    publish(version(2), `/o/m/resolve/${revision}`);
    assert.equal(await visit(), hash(weights(listings ? 2 : 1)));
  }
});

test('impostors are named, and model files are not mistaken for them', () => {
  const at = (file, text) => impostor(file, Buffer.from(text));
  assert.match(at('vocab.txt', '<!doctype HTML>'), /HTML/);
  assert.match(at('vocab.txt', '<?xml version'), /XML/);
  assert.match(at('model.safetensors', POINTER), /LFS/);
  assert.match(at('config.json', '[1]'), /JSON/);
  assert.match(at('model.safetensors', '{"error": "not here"}'), /safetensors/);
  for (const [file, text] of [['vocab.txt', '<s>\n<pad>'], ['config.json', '\ufeff\n {"a": 1}'], ['model.safetensors', '\x40\0\0\0\0\0\0\0{"']]) {
    assert.equal(at(file, text), undefined, file);
  }
});
