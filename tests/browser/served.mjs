// The built site behind its own server, and checks of a page: accessibility, and pictures of it.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { require } from './browser.mjs';
import { root } from './site.mjs';

const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } };

/** Serves the site and the tiny base; the server ends when it is killed. */
export async function start() {
  const tiny = join(root, 'tests/golden/tiny');
  const server = spawn(process.execPath, [join(root, 'scripts/serve-web.mjs'), '--port', '0', '--base', `tiny=${tiny}`]);
  const address = await new Promise((resolve, reject) => {
    let said = '';
    const listen = (data) => {
      said += data;
      const found = /http:\/\/[\w.]+:\d+/.exec(said);
      if (found) resolve(found[0]);
    };
    server.stdout.on('data', listen);
    server.stderr.on('data', listen);
    server.on('exit', () => reject(new Error(`the server ended: ${said}`)));
  });
  return { server, address };
}

/** Serious and critical findings of axe. */
export async function faults(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const bad = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  return bad.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
}

/** Saves a picture in the folder that LORB_SCREENSHOTS names, if it names one. */
export async function picture(page, name) {
  const directory = process.env.LORB_SCREENSHOTS;
  if (!directory) return;
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}

/** The widths of the window and of the page in it. */
export function widths(page) {
  return page.evaluate(() => ({ width: innerWidth, content: document.documentElement.scrollWidth }));
}
