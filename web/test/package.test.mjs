// The files that npm would publish.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));

test('the package contains modules, types, README and both licences, but no sources', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  const paths = files.map(({ path }) => path);
  for (const path of ['package.json', 'README.md', 'LICENSE-MIT', 'LICENSE-APACHE', 'dist/index.js', 'dist/index.d.ts', 'dist/worker.js']) {
    assert.ok(paths.includes(path), path);
  }
  for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) assert.deepEqual(readFileSync(root + name), readFileSync(`${root}../${name}`));
  assert.deepEqual(paths.filter((path) => !/^(dist\/|LICENSE-|README\.md$|package\.json$)/.test(path)), []);
});
