// The worker's type declarations of the wasm module match the built ones.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

import { require } from './browser.mjs';
import { root } from './site.mjs';

test('the declared module matches the built one', () => {
  const compiler = join(require.resolve('typescript/package.json'), '../bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', join(root, 'web/test/tsconfig.json')], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});
