// The files that npm would publish.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('../', import.meta.url));

test('the package contains modules, types, README and both licences, but no sources', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  const paths = files.map(({ path }) => path);
  for (const path of ['package.json', 'README.md', 'LICENSE-MIT', 'LICENSE-APACHE', 'dist/index.js', 'dist/index.d.ts', 'dist/worker.js']) {
    assert.ok(paths.includes(path), path);
  }
  const { main, jsdelivr, unpkg } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
  assert.deepEqual([jsdelivr, unpkg], [main, main]);
  // A link to a file outside the package is broken on the page of the package.
  assert.doesNotMatch(readFileSync(`${root}README.md`, 'utf8'), /\]\(\.\.\//);
  for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) assert.deepEqual(readFileSync(root + name), readFileSync(`${root}../${name}`));
  assert.deepEqual(paths.filter((path) => !/^(dist\/|LICENSE-|README\.md$|package\.json$)/.test(path)), []);
});

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'lorb-package-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test('a minified build has the names of the errors', async (t) => {
  const outfile = join(folder(t), 'lorb.mjs');
  buildSync({ entryPoints: [`${root}dist/index.js`], outfile, bundle: true, minify: true, format: 'esm' });
  const lorb = await import(pathToFileURL(outfile));
  const names = Object.keys(lorb).filter((name) => name.endsWith('Error'));
  assert.ok(names.length > 10);
  for (const name of names) assert.equal(new lorb[name]('m', 'm').name, name);
  // The build did rename the classes.
  assert.notEqual(lorb.SourceError.name, 'SourceError');
  await assert.rejects(lorb.Rescorer.fromPretrained(''), (error) => error instanceof lorb.BadInputError && error.name === 'BadInputError');
});

/** What the snippets use without defining it. */
const GIVEN = {
  Rescorer: "import { Rescorer } from 'lorb';",
  AdapterStore: "import { AdapterStore } from 'lorb';",
  SpeechRecognition: 'declare class SpeechRecognition { maxAlternatives: number; onresult: (event: { results: SpeechRecognitionResultList; resultIndex: number }) => void; }',
  rescorer: "declare const rescorer: import('lorb').Rescorer;",
  show: 'declare function show(text: string): void;',
  chart: 'declare function chart(step: number, loss: number): void;',
  note: 'declare function note(wer: number, first: number): void;',
  dev: "declare const dev: import('lorb').Utterance[];",
  signal: 'declare const signal: AbortSignal;',
};

test('the snippets of the README compile under --strict, with the oldest and the newest TypeScript', (t) => {
  const snippets = [...readFileSync(`${root}README.md`, 'utf8').matchAll(/^```[jt]s\n(.*?)^```/gms)].map(([, text]) => text);
  assert.ok(snippets.length >= 4);
  const work = folder(t);
  for (const [at, text] of snippets.entries()) {
    const defined = (name) => new RegExp(`(const|import \\{[^}]*) ?\\b${name}\\b`).test(text);
    const given = Object.keys(GIVEN).filter((name) => new RegExp(`\\b${name}\\b`).test(text) && !defined(name));
    writeFileSync(join(work, `snippet-${at}.ts`), `${given.map((name) => GIVEN[name]).join('\n')}\n${text}\nexport {};\n`);
  }
  const compilerOptions = { target: 'es2022', module: 'es2022', moduleResolution: 'bundler', lib: ['es2022', 'dom', 'dom.iterable'], types: [], strict: true, noEmit: true, skipLibCheck: false, paths: { lorb: [`${root}dist/index.d.ts`] } };
  // Those of the worker's side name the types of the module, which only the worker imports.
  const own = readdirSync(`${root}dist`).filter((file) => file.endsWith('.d.ts') && !/^(host|worker)\./.test(file)).map((file) => `${root}dist/${file}`);
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'], files: own }));
  for (const version of ['typescript-5.4', 'typescript']) {
    const { status, stdout } = spawnSync(process.execPath, [`${root}node_modules/${version}/bin/tsc`, '-p', work], { encoding: 'utf8' });
    assert.equal(status, 0, `${version}: ${stdout}`);
  }
});
