// End-to-end tests of the demonstration page: its requests, its messages, and its accessibility.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { launch, open, quiet } from './browser.mjs';
import { lorb, scratch, writeFiles } from './native.mjs';
import { SIZES, faults, picture, start, widths } from './served.mjs';
import { root } from './site.mjs';

let browser, server, address;

before(async () => {
  ({ server, address } = await start());
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.kill();
});

/** Opens the page and records its requests. */
async function visit(options = {}, to = address) {
  const opened = await open(browser, 'about:blank', options);
  const requests = [];
  opened.page.on('request', (request) => requests.push(request.url()));
  await opened.page.addInitScript(() => {
    // A fake recogniser with results like those of browsers: not arrays, and only the first alternative has a confidence.
    class StandIn {
      start() {
        const said = [' turn of the lights in the kitchen', ' turn off the lights in the kitchen', ' turn off the light in the kitchen'];
        const result = { isFinal: true };
        Object.defineProperty(result, 'length', { value: said.length });
        said.forEach((transcript, at) => Object.defineProperty(result, at, { value: { transcript, confidence: at === 0 ? 0.83 : 0 } }));
        setTimeout(() => {
          this.onresult?.({ resultIndex: 0, results: { length: 1, 0: result } });
          this.onend?.();
        }, 50);
      }
      stop() {}
      abort() {}
    }
    globalThis.SpeechRecognition = StandIn;
  });
  await opened.page.goto(to);
  return { ...opened, requests };
}

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    test(`before anything is loaded, ${colorScheme}, ${size}`, async () => {
      const { page, context, complaints, requests } = await visit({ colorScheme, viewport, reducedMotion: 'reduce' });
      await page.locator('#ranking > li').first().waitFor();
      await picture(page, `start-${colorScheme}-${size}`);
      assert.deepEqual(await faults(page), []);
      const { width, content } = await widths(page);
      assert.ok(content <= width, `${content} pixels wide in a window of ${width}`);
      assert.deepEqual(requests.filter((url) => !url.startsWith(address)), []);
      quiet(complaints);
      await context.close();
    });
  }
}

test('the built-in model is offered first, comes with the page, and re-ranks the first list, on the CPU', async (t) => {
  const { page, context, complaints, requests } = await visit({ viewport: SIZES.desktop, reducedMotion: 'reduce' });
  await page.locator('#ranking > li').first().waitFor();
  assert.equal(await page.inputValue('#model-source'), 'served:built-in');
  await page.selectOption('#model-device', 'wasm');
  const started = Date.now();
  await page.click('#model-load');
  await page.locator('input[name="order"][value="after"]:checked').waitFor({ state: 'attached' });
  t.diagnostic(`from the click to the re-ranked list, with nothing stored: ${((Date.now() - started) / 1000).toFixed(1)} s`);
  assert.match(await page.locator('#try-verdict').innerText(), /^LoRB /);
  assert.match(await page.locator('#model-state').innerText(), /^8\.4 million parameters on the CPU/);
  assert.equal(await page.locator('#try-adapter option').count(), 3, 'two ready-made adapters, or none');
  await picture(page, 'built-in');
  assert.deepEqual(await faults(page), []);
  assert.deepEqual(requests.filter((url) => !url.startsWith(address)), []);
  quiet(complaints);
  await context.close();
});

test('load, dictate, correct, tune, compare and keep, on the CPU', async (t) => {
  const { page, context, complaints, requests } = await visit({ acceptDownloads: true, viewport: SIZES.desktop, reducedMotion: 'reduce' });
  await page.selectOption('#model-source', 'served:tiny');
  await page.selectOption('#model-device', 'wasm');
  await page.click('#model-load');
  await page.locator('#model-chip[data-state=ready]').waitFor();

  await page.click('#dictate');
  await page.locator('#correct-form').waitFor();
  assert.match(await page.locator('#correct-guesses').innerText(), /turn of the lights in the kitchen/);
  await page.fill('#correct-text', 'turn off the lights in the kitchen');
  await page.click('#correct-add');
  assert.equal(await page.locator('#lessons > li').count(), 1);

  await page.selectOption('#tune-data', await page.locator('#tune-data option').first().getAttribute('value'));
  await page.fill('#tune-epochs', '2');
  await page.locator('summary', { hasText: 'More settings' }).click();
  await page.selectOption('#tune-texts', 'basic');
  await page.click('#tune-start');
  await page.locator('#run-said', { hasText: 'Done in' }).waitFor({ timeout: 240_000 });
  await picture(page, 'tuned');
  assert.match(await page.locator('#run-step').innerText(), /^(\d+) \/ \1$/);

  await page.selectOption('#keep-adapter', 'mine');
  await page.click('#compare');
  await page.locator('#compare-said', { hasText: /\d/ }).waitFor({ timeout: 120_000 });
  await picture(page, 'compared');
  assert.deepEqual(await faults(page), []);

  // The native tool can read the download.
  const got = [];
  page.on('download', (download) => got.push(download));
  await page.click('#keep-pair');
  while (got.length < 2) await page.waitForTimeout(50);
  const files = {};
  for (const download of got) files[download.suggestedFilename()] = readFileSync(await download.path()).toString('base64');
  const directory = writeFiles(scratch(t), files);
  const tiny = join(root, 'tests/golden/tiny');
  const lines = lorb('rescore', join(tiny, 'lists.jsonl'), '--model', tiny, '--adapter', directory).trim().split('\n');
  assert.equal(lines.length, 6);
  const report = lorb('eval', join(tiny, 'lists.jsonl'), '--model', tiny, '--adapter', directory);
  assert.match(report, /normalize basic, unit word, equal texts joined/);

  assert.deepEqual(requests.filter((url) => !url.startsWith(address) && !url.startsWith('blob:')), []);
  quiet(complaints);
  await context.close();
});

test('a file is re-ranked as the native tool does it, from the recogniser’s own order', async (t) => {
  const { page, context, complaints } = await visit({ acceptDownloads: true, viewport: SIZES.desktop, reducedMotion: 'reduce' });
  const list = (id) => ({ id, site: 'x', nbest: [{ text: 'turn of the light', score: -3, lm: -7 }, { text: 'turn off the light' }, { text: 'turn off the lights', score: -1 }] });
  const own = [list('call-1'), list('call-2')].map((utterance) => JSON.stringify(utterance)).join('\n');
  await page.locator('input[name="domain"][value="own"]').check({ force: true });
  await page.setInputFiles('#try-file', { name: 'calls.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from(own) });
  // The one without a score ranks with the lowest of its list, as in the core.
  await page.locator('#ranking > li').nth(2).waitFor();
  const order = await page.locator('#ranking > li').evaluateAll((rows) => rows.map((row) => row.dataset.index));
  assert.deepEqual(order, ['2', '0', '1']);

  await page.selectOption('#model-source', 'served:tiny');
  await page.selectOption('#model-device', 'wasm');
  await page.click('#model-load');
  await page.locator('#model-chip[data-state=ready]').waitFor();
  const tiny = join(root, 'tests/golden/tiny');
  const golden = join(tiny, 'adapter');
  await page.setInputFiles('#bring-files', ['adapter_config.json', 'adapter_model.safetensors'].map((name) => join(golden, name)));
  await page.locator('#try-all:not([disabled])').waitFor();
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#try-all')]);
  const lines = readFileSync(await download.path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  const directory = writeFiles(scratch(t), { 'calls.jsonl': Buffer.from(own).toString('base64') });
  const native = lorb('rescore', join(directory, 'calls.jsonl'), '--model', tiny, '--adapter', golden, '--beta', '1');
  const expected = native.trim().split('\n').map((line) => JSON.parse(line));
  for (const [at, { id, site, nbest }] of lines.entries()) {
    assert.deepEqual([id, site], [expected[at].id, 'x']);
    assert.deepEqual(nbest.map(({ text }) => text), expected[at].nbest.map(({ text }) => text));
    assert.equal(nbest.find(({ text }) => text === 'turn of the light').first_lm, -7);
    nbest.forEach(({ lm }, place) => assert.ok(Math.abs(lm - expected[at].nbest[place].lm) < 1e-4));
  }
  quiet(complaints);
  await context.close();
});

test('a comparison warns of numbers that mislead', async () => {
  const { page, context, complaints } = await visit({ viewport: SIZES.desktop, reducedMotion: 'reduce' });
  const list = { id: 'a', ref: 'turn off the light', nbest: [{ text: 'Turn off the light.', score: -1 }, { text: 'Turn of the light.', score: -2 }] };
  await page.locator('input[name="domain"][value="own"]').check({ force: true });
  await page.setInputFiles('#try-file', { name: 'own.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from(JSON.stringify(list)) });
  await page.selectOption('#model-source', 'served:tiny');
  await page.selectOption('#model-device', 'wasm');
  await page.click('#model-load');
  await page.locator('#model-chip[data-state=ready]').waitFor();
  const golden = join(root, 'tests/golden/tiny/adapter');
  await page.setInputFiles('#bring-files', ['adapter_config.json', 'adapter_model.safetensors'].map((name) => join(golden, name)));
  await page.locator('#compare:not([disabled])').waitFor();
  await page.selectOption('#compare-data', 'file');
  await page.click('#compare');
  await page.locator('#compare-warnings > li', { hasText: /2 of 2 errors .* punctuation .* `basic`/ }).waitFor();
  await picture(page, 'compare-warnings');
  assert.deepEqual(await faults(page), []);
  quiet(complaints);
  await context.close();
});

test('a second visit works without a server', async () => {
  const own = await start();
  try {
    const { page, context, complaints } = await visit({ viewport: SIZES.phone, reducedMotion: 'reduce' }, own.address);
    const load = async () => {
      await page.selectOption('#model-source', 'served:tiny');
      await page.selectOption('#model-device', 'wasm');
      await page.click('#model-load');
      await page.locator('#model-chip[data-state=ready]').waitFor();
    };
    await load();
    await page.evaluate(() => navigator.serviceWorker.ready);
    const gone = new Promise((resolve) => own.server.once('exit', resolve));
    own.server.kill();
    await gone;
    await page.reload();
    await page.locator('#ranking > li').first().waitFor();
    await load();
    quiet(complaints, [/ERR_CONNECTION_REFUSED|Failed to load resource|The FetchEvent/]);
    await context.close();
  } finally {
    own.server.kill();
  }
});
