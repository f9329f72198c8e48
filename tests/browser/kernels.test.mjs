// Chromium's WGSL compiler, Tint, accepts every variant of every kernel.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { serve } from '../../web/test/server.mjs';
import { launch, open, quiet } from './browser.mjs';
import { scratch } from './native.mjs';
import { files, root } from './site.mjs';

// WebGPU needs a secure context, and localhost is one.
const BLANK = '<!doctype html><html lang="en"><title>Kernels</title><link rel="icon" href="data:,">';

let server, browser;
before(async () => {
  server = await serve(files(BLANK, {}));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/** Compiles each source in the page; returns the messages of each. */
function compile(page, sources) {
  return page.evaluate(async (sources) => {
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice({ requiredFeatures: [...adapter.features].filter((name) => ['subgroups', 'shader-f16'].includes(name)) });
    const [subgroups, half] = ['subgroups', 'shader-f16'].map((name) => device.features.has(name));
    const messages = [];
    for (const source of sources) {
      // A device without f16 checks everything but the type.
      const code = half ? source : source.replace(/^enable f16;$/m, 'alias f16 = f32;');
      device.pushErrorScope('validation');
      const info = await device.createShaderModule({ code }).getCompilationInfo();
      const error = await device.popErrorScope();
      messages.push(info.messages.map(({ type, lineNum, message }) => `${type}, line ${lineNum}: ${message}`));
      if (error && !info.messages.length) messages.at(-1).push(error.message);
    }
    device.destroy();
    return { subgroups, half, messages };
  }, sources);
}

test('every variant compiles without a message, except those for native GPUs', async (t) => {
  const directory = scratch(t);
  execFileSync('cargo', ['run', '--release', '--quiet', '--example', 'kernels', '--', directory], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  const read = (folder) => Object.fromEntries(readdirSync(join(directory, folder)).map((name) => [name.replace('.wgsl', ''), readFileSync(join(directory, folder, name), 'utf8')]));
  const [native, forBrowsers] = [read('wgsl'), read('browser')];
  const names = Object.keys(forBrowsers);
  assert.ok(names.length > 100);
  assert.deepEqual(Object.keys(native), names);
  // Browsers do not know wgpu's own extension; LoRB does not choose these variants there.
  const nativeOnly = names.filter((name) => /^enable wgpu_/m.test(forBrowsers[name]));
  const withLine = names.filter((name) => forBrowsers[name] !== native[name] && !nativeOnly.includes(name));

  const { page, context, complaints } = await open(browser, server.root);
  const withHalf = names.filter((name) => /^enable f16;/m.test(forBrowsers[name]) && !nativeOnly.includes(name));
  assert.notEqual(withHalf.length, 0);
  const { subgroups, half, messages } = await compile(page, Object.values(forBrowsers));
  assert.ok(subgroups, 'this browser has no subgroups, so the kernels that use them were not checked');
  for (const [at, name] of names.entries()) {
    if (nativeOnly.includes(name)) assert.match(messages[at].join(), /expected extension/);
    else assert.deepEqual(messages[at], [], name);
  }

  // Without the line, the others fail; otherwise it would not be needed.
  assert.notEqual(withLine.length, 0);
  const without = await compile(page, withLine.map((name) => native[name]));
  for (const found of without.messages) assert.match(found.join(), /subgroups/);
  quiet(complaints, [/expected extension|subgroup/]);
  await context.close();
  const f16 = `${withHalf.length} with f16${half ? '' : ', checked with f32 in its place'}`;
  t.diagnostic(`${names.length} variants, ${withLine.length} with subgroups, ${f16}, ${nativeOnly.length} only native`);
});
