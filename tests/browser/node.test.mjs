// The example for Node.js gives the golden scores. Here, because it needs the built wasm module.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { lists, root } from './site.mjs';

// The adapters of PEFT come without weights.
for (const base of ['tiny', 'roberta', 'electra', 'modernbert']) {
  test(`the example for Node.js re-ranks with the golden scores of ${base}`, (t) => {
    const work = mkdtempSync(join(tmpdir(), 'lorb-node-'));
    t.after(() => rmSync(work, { recursive: true, force: true }));
    cpSync(join(root, 'examples/node'), work, { recursive: true });
    rmSync(join(work, 'node_modules'), { recursive: true, force: true });
    mkdirSync(join(work, 'node_modules'));
    symlinkSync(join(root, 'web'), join(work, 'node_modules/lorb'), 'junction');

    const folder = join(root, 'tests/golden', base);
    const golden = JSON.parse(readFileSync(join(folder, 'scores.json'), 'utf8'));
    const args = [join(work, 'rescore.mjs'), folder, join(folder, 'adapter'), '1'];
    const output = execFileSync(process.execPath, args, { input: readFileSync(join(folder, 'lists.jsonl')), encoding: 'utf8' });
    const rescored = output.trim().split('\n').map((line) => JSON.parse(line));
    const given = lists(base);
    assert.deepEqual(rescored.map(({ id }) => id), golden.map(({ id }) => id));
    for (const [at, { id, nbest }] of rescored.entries()) {
      assert.equal(nbest.length, given[at].nbest.length);
      for (const { text, lm } of nbest) {
        const expected = golden[at].lm[given[at].nbest.findIndex((hypothesis) => hypothesis.text === text)];
        assert.ok(Math.abs(lm - expected) < 1e-4, `${id}, ${JSON.stringify(text)}: ${lm}, expected ${expected}`);
      }
    }
  });
}
