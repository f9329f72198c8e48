import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';

import { LayeredCache } from '../dist/cache.js';
import { collectOptional, Download, PART_BYTES } from '../dist/download.js';
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

/** Collects what the sink is given, in pieces since it was last begun. */
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
  const { signal, localOnly = false, sha256, facts } = more;
  const layered = cache && new LayeredCache(cache, (reason) => events.push({ status: 'cache', reason }));
  const context = { name: 'm', cache: layered, emit: (event) => events.push(event), signal, localOnly, retryAfter: 1 };
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

test('a file arrives in parts, with progress, and the second time without the network', async () => {
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
  // Held against the hash of the first time.
  assert.deepEqual(done(), { status: 'done', name: 'm', file: 'big.bin', from: 'cache', verified: true });
  assert.equal(server.requests.length, 1);
});

test('a connection that breaks is taken up at the byte it had reached', async () => {
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

test('without a cache too', async () => {
  server.faults.cutAfter = PART_BYTES + 1000;
  const { bytes } = await fetchWhole({ cache: null });
  assert.ok(bytes.equals(big));
  assert.ok(server.requests[1].range);
});

test('an aborted download goes on where it was, in a later visit', async () => {
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

test('bytes of a part that was not full are kept too', async () => {
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
  const context = { name: 'm', cache: layered, emit, signal: controller.signal, localOnly: false };
  // Slow enough for progress to be told within the second part.
  server.faults.cutAfter = 2 * PART_BYTES - 1000;
  await assert.rejects(new Download({ url: `${server.root}/big.bin`, file: 'big.bin' }, context).run(sink), { name: 'AbortError' });
  await fetchWhole({ cache });
  const start = Number(/\d+/.exec(server.requests.at(-1).range)[0]);
  assert.ok(reached > 0 && start >= reached, `${start} after ${reached}`);
});

test('across origins, where If-Range is not sent, the answer tells of the change', async () => {
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

test('a file that changed meanwhile is fetched from its beginning', async () => {
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

test('so is one from a server that knows no ranges', async () => {
  server.faults.cutAfter = PART_BYTES + 1000;
  server.faults.noRanges = true;
  const { bytes, got } = await fetchWhole();
  assert.ok(bytes.equals(big));
  assert.equal(got.begun.length, 2);
});

test('without a version or a hash, bytes of two answers are not put together', async () => {
  server.faults.cutAfter = PART_BYTES + 1000;
  server.faults.noEtag = true;
  const { bytes } = await fetchWhole();
  assert.ok(bytes.equals(big));
  assert.deepEqual(server.requests.map(({ range }) => range), [undefined, undefined]);
});

test('a kept part that is longer than the file is now', async () => {
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

test('a server that fails a while is asked again, one that goes on failing is not', async () => {
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

test('what is missing or forbidden is said once', async () => {
  await assert.rejects(fetchWhole({ file: 'none.bin' }), { name: 'SourceError', status: 404 });
  server.faults.status = [403];
  await assert.rejects(fetchWhole(), { name: 'SourceError', status: 403 });
  await assert.rejects(fetchWhole({ localOnly: true }), /not in the cache/);
  assert.equal(server.requests.length, 2);
});

test('an optional file that is missing is not asked for twice', async () => {
  const cache = fakeCache();
  const context = { name: 'm', cache: new LayeredCache(cache, () => {}), emit: () => {}, signal: undefined, localOnly: false };
  const remote = { url: `${server.root}/none.json`, file: 'none.json' };
  assert.equal(await collectOptional(remote, context), undefined);
  assert.equal(await collectOptional(remote, { ...context, localOnly: true }), undefined);
  assert.equal(server.requests.length, 1);
});

test('a file that is not the expected one is an IntegrityError and is not kept', async () => {
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

test('the hash may come from the listing or from a header', async () => {
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

test('a part that rots in the cache is found by the hash of the first time', async () => {
  const cache = fakeCache();
  await fetchWhole({ cache });
  const key = [...cache.entries.keys()].find((key) => key.includes('lorb-part=1'));
  cache.entries.get(key)[5] ^= 1;
  await assert.rejects(fetchWhole({ cache }), { name: 'IntegrityError' });
  // And one that was cut, by its length: it is fetched again.
  await fetchWhole({ cache });
  cache.entries.set(key, cache.entries.get(key).subarray(0, 10));
  assert.ok((await fetchWhole({ cache })).bytes.equals(big));
  cache.entries.delete(key);
  assert.ok((await fetchWhole({ cache })).bytes.equals(big));
});

test('bytes that the reader refuses are told from a damaged file', async () => {
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

test('a full cache falls back to memory, says so once, and the page goes on without the network', async () => {
  const cache = fakeCache({ room: PART_BYTES + 1000 });
  const { bytes } = await fetchWhole({ cache });
  assert.ok(bytes.equals(big));
  const told = events.filter(({ status }) => status === 'cache');
  assert.equal(told.length, 1);
  assert.match(told[0].reason, /Quota/);
  server.faults.down = true;
  assert.ok((await fetchWhole({ cache })).bytes.equals(big));
});

test('a file whose length nobody tells is gathered first', async () => {
  server.faults.noLength = true;
  for (const cache of [fakeCache(), null]) {
    const { bytes, got } = await fetchWhole({ cache });
    assert.ok(bytes.equals(big));
    assert.deepEqual(got.begun, [big.length]);
  }
});
