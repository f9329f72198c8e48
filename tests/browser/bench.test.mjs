// The benchmark page runs to its end in software, sends nothing anywhere, and says what is missing.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launch, open, quiet } from './browser.mjs';
import { SIZES, faults, picture, start, widths } from './served.mjs';

/** Small sizes: a software adapter is thousands of times slower than a GPU. */
const SMALL = '?shape=tiny&rows=60&tokens=200&speed=50';
let browser, server, address;

before(async () => {
  ({ server, address } = await start());
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.kill();
});

async function visit(options = {}, of = browser) {
  const opened = await open(of, 'about:blank', options);
  const requests = [];
  opened.page.on('request', (request) => requests.push(request.url()));
  await opened.page.goto(`${address}/bench/${SMALL}`);
  return { ...opened, requests };
}

test('it measures everything and shows it as tables and as JSON', async (t) => {
  const { page, context, complaints, requests } = await visit({ viewport: SIZES.desktop });
  await page.click('#start');
  await page.locator('#said', { hasText: 'Done' }).waitFor({ timeout: 600_000 });
  const report = JSON.parse(await page.inputValue('#json'));
  const of = (kind) => report.rows.filter(({ row }) => row === kind);
  assert.deepEqual(of('left_out'), []);
  assert.match(report.browser, /Chrome/);
  assert.equal(report.adapter.architecture, 'swiftshader');

  assert.deepEqual(of('launch').map(({ per_submit, new_parameters }) => [per_submit, new_parameters]), [[1, false], [1, true], [32, false], [32, true], [200, false], [200, true]]);
  assert.deepEqual([of('upload').length, of('read').length, of('peak').length, of('copy').length], [2, 1, 1, 1]);
  const products = of('product');
  for (const kernel of ['linear', 'linear_backward', 'lora_linear', 'lora_linear_backward']) {
    const variants = new Set(products.filter((row) => row.kernel === kernel).map(({ variant }) => variant));
    assert.ok(variants.size >= 4, `${kernel}: ${[...variants]}`);
  }
  assert.deepEqual(of('step').map(({ step, batch_tokens }) => [step, batch_tokens]), [['training', 200], ['rescoring', 200]]);
  // Every number is a measurement.
  const numbers = report.rows.flatMap((row) => Object.entries(row).filter(([name, value]) => typeof value === 'number' && name !== 'script_microseconds'));
  assert.ok(numbers.length > 100);
  for (const [name, value] of numbers) assert.ok(value > 0 && Number.isFinite(value), `${name}: ${value}`);

  await picture(page, 'bench-done');
  assert.deepEqual(await faults(page), []);
  assert.equal(await page.locator('#tables h3').count(), 4);
  assert.deepEqual(requests.filter((url) => !/^(blob|data):/.test(url) && !url.startsWith(address)), []);
  quiet(complaints);
  await context.close();
  t.diagnostic(`${report.rows.length} rows`);
});

test('it can be stopped, and keeps what it measured', async () => {
  const { page, context, complaints } = await visit({ viewport: SIZES.phone, colorScheme: 'dark' });
  await page.click('#start');
  await page.locator('#tables h3').first().waitFor();
  await page.click('#stop');
  await page.locator('#said', { hasText: 'Stopped' }).waitFor();
  assert.ok(JSON.parse(await page.inputValue('#json')).rows.length > 0);
  await page.locator('#start:enabled').waitFor();
  await picture(page, 'bench-stopped-phone');
  const { width, content } = await widths(page);
  assert.ok(content <= width, `${content} pixels wide in a window of ${width}`);
  assert.deepEqual(await faults(page), []);
  quiet(complaints);
  await context.close();
});

test('without WebGPU it says so', async () => {
  const without = await launch({ webgpu: false });
  try {
    const { page, complaints } = await visit({}, without);
    await page.locator('#notices .notice').waitFor();
    assert.match(await page.locator('#notices').innerText(), /WebGPU/);
    assert.ok(await page.locator('#start').isDisabled());
    await picture(page, 'bench-without');
    assert.deepEqual(await faults(page), []);
    quiet(complaints, [/No available adapters/]);
  } finally {
    await without.close();
  }
});
