import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';

import { LayeredCache } from '../dist/cache.js';
import { collectIfAny, Download, PART_BYTES } from '../dist/download.js';
import { fakeCache } from './fake-cache.mjs';
import { serve } from './server.mjs';

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
const big = randomBytes(2 * PART_BYTES + 12345);
let server, events;

beforeEach(async () => {
  server = await serve({ '/big.bin': big, '/small.json': Buffer.from('{}') });
  events = [];
});
afterEach(() => server.close());

/** Collects the chunks written to the sink since its last `begin`. */
function gather() {
  const got = { begun: [], pieces: [] };
  const sink = {
    begin(total) {
      got.begun.push(total);
      got.pieces = [];
    },
    write: (bytes) => void got.pieces.push(bytes),
  };
  return { got, sink, bytes: () => Buffer.concat(got.pieces) };
}

function open({ cache = fakeCache(), file = 'big.bin', ...more } = {}) {
  const { signal, localOnly = false, sha256, facts, stallAfter } = more;
  const layered = cache && new LayeredCache(cache, (reason) => events.push({ status: 'cache', reason }));
  const context = { name: 'm', cache: layered, emit: (event) => events.push(event), signal, localOnly, seen: new Map(), fetched: new Set(), retryAfter: 1, stallAfter };
  return new Download({ url: `${server.root}/${file}`, file, sha256, facts }, context);
}

async function fetchWhole(options) {
  const { sink, bytes, got } = gather();
  const download = open(options);
  await download.run(sink);
  await download.confirm(hash(bytes()));
  return { bytes: bytes(), got };
}

const statuses = () => events.map(({ status }) => status);
const done = () => events.find(({ status }) => status === 'done');

test('a file is downloaded in parts with progress, and the second time comes from the cache', async () => {
  const cache = fakeCache();
  const first = await fetchWhole({ cache });
  assert.ok(first.bytes.equals(big));
  assert.deepEqual(first.got.begun, [big.length]);
  assert.deepEqual(first.got.pieces.map((piece) => piece.length), [PART_BYTES, PART_BYTES, 12345]);
  assert.deepEqual(statuses().slice(0, 2), ['initiate', 'download']);
  const last = events.filter(({ status }) => status === 'progress').at(-1);
  assert.deepEqual(last, { status: 'progress', name: 'm', file: 'big.bin', progress: 100, loaded: big.length, total: big.length });
  assert.deepEqual(done(), { status: 'done', name: 'm', file: 'big.bin', from: 'network', verified: false });

  events = [];
  server.faults.down = true;
  const second = await fetchWhole({ cache, localOnly: true });
  assert.ok(second.bytes.equals(big));
  // Compared with the hash of the first download.
  assert.deepEqual(done(), { status: 'done', name: 'm', file: 'big.bin', from: 'cache', verified: true });
  assert.equal(server.requests.length, 1);
});

test('a broken connection resumes at the last byte', async () => {
  server.faults.cutAfter = PART_BYTES + 1000;
  const { bytes, got } = await fetchWhole();
  assert.ok(bytes.equals(big));
  assert.equal(got.begun.length, 1);
  assert.ok(statuses().includes('retry'));
  assert.equal(server.requests.length, 2);
  const [, resumed] = server.requests;
  assert.match(resumed.range, /^bytes=\d+-$/);
  assert.ok(Number(/\d+/.exec(resumed.range)[0]) >= PART_BYTES);
  assert.match(resumed.ifRange, /^"/);
});

test('a connection that stalls is ended and resumes', async () => {
  // The server closes it half a second later.
  server.faults.cutAfter = PART_BYTES + 1000;
  const { bytes } = await fetchWhole({ stallAfter: 150 });
  assert.ok(bytes.equals(big));
  assert.match(events.find(({ status }) => status === 'retry').reason, /sent nothing for 0\.15 seconds/);
  assert.equal(server.requests.length, 2);
});

test('a server that never answers is an error', async () => {
  server.faults.silent = true;
  await assert.rejects(fetchWhole({ stallAfter: 30 }), { name: 'SourceError', message: /sent nothing/ });
});

test('a connection that ends at once, each time, is an error', async () => {
  server.faults.empty = true;
  await assert.rejects(fetchWhole(), { name: 'SourceError' });
});

test('a broken connection resumes without a cache too', async () => {
  server.faults.cutAfter = PART_BYTES + 1000;
  const { bytes } = await fetchWhole({ cache: null });
  assert.ok(bytes.equals(big));
  assert.ok(server.requests[1].range);
});

test('an aborted download resumes in a later visit', async () => {
  const cache = fakeCache();
  const controller = new AbortController();
  const { sink } = gather();
  const write = sink.write;
  sink.write = (bytes) => {
    write(bytes);
    controller.abort();
  };
  await assert.rejects(open({ cache, signal: controller.signal }).run(sink), { name: 'AbortError' });
  const { bytes, got } = await fetchWhole({ cache });
  assert.ok(bytes.equals(big));
  assert.deepEqual(got.begun, [big.length]);
  assert.ok(Number(/\d+/.exec(server.requests[1].range)[0]) >= PART_BYTES, server.requests[1].range);
});

test('an incomplete part is cached too', async () => {
  const cache = fakeCache();
  const controller = new AbortController();
  const { sink } = gather();
  const layered = new LayeredCache(cache, () => {});
  let reached = 0;
  const emit = ({ loaded }) => {
    if (!(loaded > PART_BYTES)) return;
    reached = loaded;
    controller.abort();
  };
  const context = { name: 'm', cache: layered, emit, signal: controller.signal, localOnly: false, seen: new Map(), fetched: new Set() };
  // Slow enough for a progress event within the second part.
  server.faults.cutAfter = 2 * PART_BYTES - 1000;
  await assert.rejects(new Download({ url: `${server.root}/big.bin`, file: 'big.bin' }, context).run(sink), { name: 'AbortError' });
  await fetchWhole({ cache });
  const start = Number(/\d+/.exec(server.requests.at(-1).range)[0]);
  assert.ok(reached > 0 && start >= reached, `${start} after ${reached}`);
});

test('across origins, without If-Range, the response reveals a change', async () => {
  globalThis.location = { origin: 'http://elsewhere.example' };
  try {
    server.faults.cutAfter = PART_BYTES + 1000;
    const other = randomBytes(big.length);
    const { sink, bytes } = gather();
    const write = sink.write;
    sink.write = (chunk) => {
      write(chunk);
      server.files['/big.bin'] = other;
    };
    const download = open();
    await download.run(sink);
    await download.confirm(hash(bytes()));
    assert.ok(bytes().equals(other));
    assert.ok(server.requests.every(({ ifRange }) => ifRange === undefined));
    assert.ok(server.requests[1].range);
  } finally {
    delete globalThis.location;
  }
});

test('a file that changed is downloaded from the start', async () => {
  const cache = fakeCache();
  server.faults.cutAfter = PART_BYTES + 1000;
  const other = randomBytes(big.length);
  const { sink, bytes, got } = gather();
  const write = sink.write;
  sink.write = (chunk) => {
    write(chunk);
    server.files['/big.bin'] = other;
  };
  const download = open({ cache });
  await download.run(sink);
  await download.confirm(hash(bytes()));
  assert.ok(bytes().equals(other));
  assert.equal(got.begun.length, 2);
});

test('a server without range support sends the file from the start', async () => {
  server.faults.cutAfter = PART_BYTES + 1000;
  server.faults.noRanges = true;
  const { bytes, got } = await fetchWhole();
  assert.ok(bytes.equals(big));
  assert.equal(got.begun.length, 2);
});

test('without a version or a hash, bytes of two responses are not combined', async () => {
  server.faults.cutAfter = PART_BYTES + 1000;
  server.faults.noEtag = true;
  const { bytes } = await fetchWhole();
  assert.ok(bytes.equals(big));
  assert.deepEqual(server.requests.map(({ range }) => range), [undefined, undefined]);
});

test('a cached part that is longer than the current file is discarded', async () => {
  const cache = fakeCache();
  server.faults.cutAfter = PART_BYTES + 1000;
  server.faults.status = undefined;
  const controller = new AbortController();
  const { sink } = gather();
  sink.write = () => controller.abort();
  await assert.rejects(open({ cache, signal: controller.signal }).run(sink), { name: 'AbortError' });
  server.files['/big.bin'] = big.subarray(0, 100);
  const { bytes } = await fetchWhole({ cache });
  assert.ok(bytes.equals(big.subarray(0, 100)));
});

test('temporary server errors are retried, permanent ones are not', async () => {
  server.faults.status = [503, 429, 500];
  const { bytes } = await fetchWhole();
  assert.ok(bytes.equals(big));
  assert.equal(statuses().filter((status) => status === 'retry').length, 3);

  server.faults.status = Array(20).fill(503);
  await assert.rejects(fetchWhole({ cache: fakeCache() }), (error) => {
    assert.equal(error.name, 'SourceError');
    assert.equal(error.status, 503);
    assert.match(error.message, /big\.bin/);
    return true;
  });
  assert.ok(server.faults.status.length > 10);
});

test('missing and forbidden files fail without a retry', async () => {
  await assert.rejects(fetchWhole({ file: 'none.bin' }), { name: 'SourceError', status: 404 });
  server.faults.status = [403];
  await assert.rejects(fetchWhole(), { name: 'SourceError', status: 403 });
  await assert.rejects(fetchWhole({ localOnly: true }), /not in the cache/);
  assert.equal(server.requests.length, 2);
});

test('a missing file is remembered only if it is optional', async () => {
  for (const [optional, kept] of [[true, 1], [false, 0]]) {
    const cache = fakeCache();
    const context = { name: 'm', cache: new LayeredCache(cache, () => {}), emit: () => {}, signal: undefined, localOnly: false, seen: new Map(), fetched: new Set() };
    const remote = { url: `${server.root}/none.json`, file: 'none.json' };
    assert.equal(await collectIfAny(remote, context, optional), undefined);
    assert.equal(cache.entries.size, kept);
    if (optional) assert.equal(await collectIfAny(remote, { ...context, localOnly: true }, optional), undefined);
  }
  assert.equal(server.requests.length, 2);
});

test('an unexpected file is an IntegrityError and is not cached', async () => {
  const cache = fakeCache();
  const expected = hash(big);
  const bent = Buffer.from(big);
  bent[PART_BYTES + 7] ^= 1;
  server.files['/big.bin'] = bent;
  await assert.rejects(fetchWhole({ cache, sha256: expected.toUpperCase() }), (error) => {
    assert.equal(error.name, 'IntegrityError');
    assert.equal(error.url, `${server.root}/big.bin`);
    assert.equal(error.expected, expected);
    assert.equal(error.actual, hash(bent));
    return true;
  });
  assert.equal(cache.entries.size, 0);
  server.files['/big.bin'] = big;
  assert.ok((await fetchWhole({ cache, sha256: expected })).bytes.equals(big));
  assert.equal(done().verified, true);
});

test('the hash comes from the listing or from a header', async () => {
  const bent = Buffer.from(big);
  bent[0] ^= 1;
  const facts = async () => ({ size: big.length, sha256: hash(bent) });
  await assert.rejects(fetchWhole({ facts }), { name: 'IntegrityError' });
  server.faults.linked = `"${hash(bent)}"`;
  await assert.rejects(fetchWhole(), { name: 'IntegrityError' });
  delete server.faults.linked;
  server.faults.hubLike = true;
  await fetchWhole();
  assert.equal(events.at(-1).verified, true);
  await assert.rejects(fetchWhole({ facts: async () => null }), { name: 'SourceError', status: 404 });
});

test('a corrupt cached part is detected by the hash of the first download', async () => {
  const cache = fakeCache();
  await fetchWhole({ cache });
  const key = [...cache.entries.keys()].find((key) => key.includes('lorb-part=1'));
  cache.entries.get(key)[5] ^= 1;
  await assert.rejects(fetchWhole({ cache }), { name: 'IntegrityError' });
  // A truncated part is detected by its length and downloaded again.
  await fetchWhole({ cache });
  cache.entries.set(key, cache.entries.get(key).subarray(0, 10));
  assert.ok((await fetchWhole({ cache })).bytes.equals(big));
  cache.entries.delete(key);
  assert.ok((await fetchWhole({ cache })).bytes.equals(big));
});

test('invalid contents are distinguished from a damaged file', async () => {
  const refusal = new Error('no BERT');
  for (const [sha256, name] of [[hash(big), 'Error'], [hash(Buffer.from('other')), 'IntegrityError']]) {
    const cache = fakeCache();
    const download = open({ cache, sha256 });
    const { sink } = gather();
    sink.write = () => {
      throw refusal;
    };
    await assert.rejects(download.run(sink), refusal);
    assert.equal((await download.explain(refusal)).name, name);
    assert.equal(cache.entries.size, 0);
  }
});

test('a full cache falls back to memory with one event, and the page works without the network', async () => {
  const cache = fakeCache({ room: PART_BYTES + 1000 });
  const { bytes } = await fetchWhole({ cache });
  assert.ok(bytes.equals(big));
  const told = events.filter(({ status }) => status === 'cache');
  assert.equal(told.length, 1);
  assert.match(told[0].reason, /Quota/);
  server.faults.down = true;
  assert.ok((await fetchWhole({ cache })).bytes.equals(big));
});

test('a file of unknown length is collected first', async () => {
  server.faults.noLength = true;
  for (const cache of [fakeCache(), null]) {
    const { bytes, got } = await fetchWhole({ cache });
    assert.ok(bytes.equals(big));
    assert.deepEqual(got.begun, [big.length]);
  }
});
