// The native tool; browser results are compared with its results.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { root } from './site.mjs';

export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
  const found = process.env.LORB_BIN ?? join(target, 'release/lorb');
  if (!existsSync(found)) throw new Error(`${found} is not built: cargo build --release`);
  return found;
}

/** Runs the tool on the CPU and returns what it prints. */
export function lorb(...args) {
  return execFileSync(binary(), [...args, '--device', 'cpu', '--quiet'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Rescored lists in the order of the tool, with weight 1 for the adapter. */
export function rescored(model, adapter, lists) {
  const lines = lorb('rescore', lists, '--model', model, '--adapter', adapter, '--beta', '1').trim().split('\n');
  return lines.map((line) => {
    const { id, nbest } = JSON.parse(line);
    return { id, nbest: nbest.map(({ text, lm, total }) => ({ text, lm, total })) };
  });
}

/** A temporary directory, deleted after the test. */
export function scratch(test) {
  const directory = mkdtempSync(join(tmpdir(), 'lorb-browser-'));
  test.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Trains on the CPU; returns the messages and the directory of the adapter. */
export function train(test, model, lists, args) {
  const directory = scratch(test);
  const log = join(directory, 'log.jsonl');
  const output = join(directory, 'adapter');
  lorb('train', '--model', model, '--train', lists, '--output', output, '--log-json', log, ...args);
  const messages = readFileSync(log, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  return { messages, output };
}

/** Writes files, given as text or base64 of their names, to a directory. */
export function writeFiles(directory, files) {
  for (const [name, base64] of Object.entries(files)) writeFileSync(join(directory, name), Buffer.from(base64, 'base64'));
  return directory;
}
