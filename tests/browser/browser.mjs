// A headless Chromium with software WebGPU, and a page in it that must not report errors.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

// The browser tests use the development packages of the npm package.
export const require = createRequire(new URL('../../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

/** Blocks all requests of the browser to other hosts. */
const QUIET = ['--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic'];
/** Chromium includes SwiftShader, a software implementation of Vulkan. */
const WEBGPU = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
  '--ignore-gpu-blocklist',
];

function executable() {
  if (process.env.LORB_CHROMIUM) return process.env.LORB_CHROMIUM;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // Try the next name.
    }
  }
  throw new Error('Chromium not found; set LORB_CHROMIUM to its path');
}

/** Starts a browser, optionally without WebGPU. */
export async function launch({ webgpu = true, args = [] } = {}) {
  return chromium.launch({
    executablePath: executable(),
    args: ['--no-sandbox', ...QUIET, ...(webgpu ? WEBGPU : ['--disable-features=WebGPU', '--disable-gpu']), ...args],
  });
}

/** Files that a base may lack: the browser reports the server's answer, and nothing is wrong. */
const OPTIONAL = /\/(tokenizer_config|special_tokens_map|added_tokens)\.json$/;

/** Opens a URL in a page with a new profile; `complaints` collects errors and warnings of the console and the page. */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (/status of 404/.test(message.text()) && OPTIONAL.test(message.location().url)) return;
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.setDefaultTimeout(60_000);
  await page.goto(address);
  return { page, context, complaints };
}

/** Asserts that there are no errors except those that the test expects. */
export function quiet(complaints, expected = []) {
  const others = complaints.filter((complaint) => !expected.some((pattern) => pattern.test(complaint)));
  assert.deepEqual(others, []);
}
