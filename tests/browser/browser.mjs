// A headless Chromium with WebGPU in software, and a page in it that must not complain.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

// The browser tests' packages are those of the npm package's own development.
export const require = createRequire(new URL('../../web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

/** Nothing outside is asked for, whatever the browser would like to look up. */
const QUIET = ['--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic'];
/** Google's software implementation of Vulkan comes with Chromium. */
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
      // The next name.
    }
  }
  throw new Error('no Chromium is installed; LORB_CHROMIUM names one');
}

/** Starts a browser; without WebGPU where told so. */
export async function launch({ webgpu = true, args = [] } = {}) {
  return chromium.launch({
    executablePath: executable(),
    args: ['--no-sandbox', ...QUIET, ...(webgpu ? WEBGPU : ['--disable-features=WebGPU', '--disable-gpu']), ...args],
  });
}

/** Opens an address in a page of its own profile; `complaints` collects what the console and the page say of errors. */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.setDefaultTimeout(60_000);
  await page.goto(address);
  return { page, context, complaints };
}

/** No complaint, but those that a test is about. */
export function quiet(complaints, expected = []) {
  const others = complaints.filter((complaint) => !expected.some((pattern) => pattern.test(complaint)));
  assert.deepEqual(others, []);
}
