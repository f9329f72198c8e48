// The fixture of a test file: the package's site and a browser.

import { after, before } from 'node:test';

import { launch, open } from './browser.mjs';
import { site } from './site.mjs';

/** Starts `server` and `browser` before a file's first test and stops them after its last; `visit` opens a page. */
export function stage() {
  const stage = { visit: (options) => open(stage.browser, stage.server.root, options) };
  before(async () => {
    stage.server = await site();
    stage.browser = await launch();
  });
  after(async () => {
    await stage.browser?.close();
    await stage.server?.close();
  });
  return stage;
}
