import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AdapterStore } from '../dist/index.js';
import { fakeFolder } from './fake-files.mjs';

const text = async (files) => Object.fromEntries(await Promise.all(Object.entries(files).map(async ([name, blob]) => [name, await blob.text()])));
const bytes = (string) => new TextEncoder().encode(string);

test('entries can be saved, loaded, listed, replaced and deleted', async () => {
  const { root } = fakeFolder();
  const store = await AdapterStore.open('lorb', root);
  assert.equal(await store.load('kitchen'), undefined);
  await store.save('kitchen', { 'adapter_config.json': new Blob(['{}']), 'adapter_model.safetensors': bytes('one') });
  await store.save('a/b: ü..', { x: bytes('other') });
  assert.deepEqual(await text(await store.load('kitchen')), { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'one' });
  await store.save('kitchen', { 'adapter_config.json': bytes('two') });
  await store.save('kitchen', { 'a.json': bytes('three'), 'manifest.json': bytes('no manifest') });
  assert.deepEqual(await text(await store.load('kitchen')), { 'a.json': 'three', 'manifest.json': 'no manifest' });
  assert.deepEqual(await store.list(), ['a/b: ü..', 'kitchen']);
  await store.delete('kitchen');
  await store.delete('kitchen');
  assert.deepEqual(await store.list(), ['a/b: ü..']);
  assert.deepEqual(await text(await (await AdapterStore.open('lorb', root)).load('a/b: ü..')), { x: 'other' });
  await assert.rejects(store.save('empty', {}), { name: 'BadInputError' });
  await assert.rejects(store.save('', { x: bytes('') }), { name: 'BadInputError' });
});

test('an interrupted write leaves the previous version', async () => {
  let torn = 0;
  for (let operations = 0; ; operations++) {
    const { root, control } = fakeFolder();
    const store = await AdapterStore.open('lorb', root);
    for (const version of ['one', 'two']) await store.save('k', { x: bytes(version), y: bytes(version) });
    control.operationsLeft = operations;
    const written = await store.save('k', { x: bytes('three'), y: bytes('three') }).then(() => true, () => false);
    control.operationsLeft = Infinity;
    const found = await text(await store.load('k'));
    if (written) {
      assert.deepEqual(found, { x: 'three', y: 'three' });
      break;
    }
    torn++;
    assert.deepEqual(found, { x: 'two', y: 'two' }, `torn after ${operations} operations`);
    // The next write repairs the slot.
    await store.save('k', { x: bytes('four'), y: bytes('four') });
    assert.deepEqual(await text(await store.load('k')), { x: 'four', y: 'four' });
  }
  assert.ok(torn >= 6, `torn at ${torn} places`);
});

test('a corrupt file is detected', async () => {
  const { root, files } = fakeFolder();
  const store = await AdapterStore.open('lorb', root);
  await store.save('k', { x: bytes('one') });
  await store.save('k', { x: bytes('two') });
  const newest = [...files()].find(([, content]) => new TextDecoder().decode(content) === 'two')[1];
  newest[0] ^= 1;
  assert.deepEqual(await text(await store.load('k')), { x: 'one' });
  for (const [, content] of files()) content[0] ^= 2;
  assert.equal(await store.load('k'), undefined);
  assert.deepEqual(await store.list(), []);
});

test('a full device is a QuotaError, and existing entries stay intact', async () => {
  const { root, control } = fakeFolder();
  const store = await AdapterStore.open('lorb', root);
  await store.save('k', { x: bytes('one') });
  control.room = 10;
  await assert.rejects(store.save('k', { x: bytes('much more than ten bytes') }), { name: 'QuotaError' });
  assert.deepEqual(await text(await store.load('k')), { x: 'one' });
});

test('a page without the file system reports that', async () => {
  await assert.rejects(AdapterStore.open(), /private file system/);
});
