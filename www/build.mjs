/**
* Assembles the page in www/dist: its own files, the built package as ./lorb/, and part of the samples as JSON.
 *
 *     node www/build.mjs [PACKAGE]      PACKAGE: folder of the built package, web/dist by default
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { headers, policy } from './csp.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);
const dist = join(here, 'dist');
const built = resolve(process.argv[2] ?? join(root, 'web', 'dist'));

const DOMAINS = ['assistant', 'dictation'];
/** The kernels whose variants the benchmark page measures. */
const PRODUCTS = ['linear', 'linear_backward', 'lora_linear', 'lora_linear_backward'];
/** Lists of each kind, by domain. */
const COUNTS = { mendable: 18, right: 6, train: 200, dev: 60, held: 100 };

rmSync(dist, { recursive: true, force: true });
mkdirSync(join(dist, 'data'), { recursive: true });
mkdirSync(join(dist, 'models'));
for (const name of ['app', 'bench', 'css', 'adapters', 'icon.svg']) cpSync(join(here, name), join(dist, name), { recursive: true });
cpSync(built, join(dist, 'lorb'), { recursive: true, dereference: true });
// Only the type check reads it.
rmSync(join(dist, 'bench', 'globals.d.ts'));
for (const page of ['index.html', 'bench/index.html']) {
  writeFileSync(join(dist, page), readFileSync(join(here, page), 'utf8').replace('@CSP@', policy));
}
writeKernels();
// Some static hosts read this file and send the headers.
writeFileSync(join(dist, '_headers'), `/*\n${Object.entries(headers).map(([name, value]) => `  ${name}: ${value}\n`).join('')}`);
// Models offered by the server; scripts/serve-web.mjs adds its own.
const base = join(dist, 'models', 'built-in');
cpSync(join(root, 'built-in'), base, { recursive: true, filter: (path) => !path.endsWith('.md') });
const files = Object.fromEntries(readdirSync(base).map((file) => [file, statSync(join(base, file)).size]));
writeFileSync(join(dist, 'models', 'index.json'), `${JSON.stringify([{ name: 'built-in', files }])}\n`);

const { alignWords } = await import(pathToFileURL(join(built, 'words.js')).href);
for (const domain of DOMAINS) {
  const test = lists(domain, 'test');
  writeData(`${domain}-try`, chosen(test));
  writeData(`${domain}-held`, test.slice(0, COUNTS.held));
  writeData(`${domain}-train`, lists(domain, 'train').slice(0, COUNTS.train));
  writeData(`${domain}-dev`, lists(domain, 'dev').slice(0, COUNTS.dev));
}
writeWorker();

/** The kernels of the benchmark page: its own, and the f32 variants of the products as the build of the module composed them. */
function writeKernels() {
  const folder = join(dist, 'bench', 'kernels');
  cpSync(join(root, 'shaders', 'bench'), folder, { recursive: true });
  const list = join(dist, 'lorb', 'wasm', 'kernels.json');
  const { files, kernels } = JSON.parse(readFileSync(list, 'utf8'));
  // It is not part of the package.
  rmSync(list);
  const chosen = kernels.filter(({ name, entry }) => PRODUCTS.includes(entry) && name.startsWith(`${entry}_f32`));
  const used = new Set(chosen.flatMap(({ parts }) => parts.map(({ file }) => file)));
  const texts = Object.fromEntries(Object.entries(files).filter(([path]) => used.has(path)));
  writeFileSync(join(folder, 'products.json'), JSON.stringify({ files: texts, kernels: chosen }));
}

function writeData(name, value) {
  writeFileSync(join(dist, 'data', `${name}.json`), JSON.stringify(value));
}

/** Lists from the repository, with the fields that the page needs. */
function lists(domain, split) {
  const text = gunzipSync(readFileSync(join(root, 'samples', domain, `${split}.jsonl.gz`))).toString();
  return text.trim().split('\n').map((line) => {
    const { id, ref, nbest } = JSON.parse(line);
    return { id, ref, nbest: nbest.map(({ text, score }) => ({ text, score })) };
  });
}

/** Lists with a better hypothesis than the first one, starting with those that contain the reference; in every fourth list the first is correct. */
function chosen(test) {
  const errors = (list, text) => alignWords(list.ref, text).filter(({ op }) => op !== 'equal').length;
  const fewest = (list) => Math.min(...list.nbest.map(({ text }) => errors(list, text)));
  const mendable = test.filter((list) => fewest(list) < errors(list, list.nbest[0].text)).sort((one, other) => fewest(one) - fewest(other));
  const right = test.filter((list) => errors(list, list.nbest[0].text) === 0).slice(0, COUNTS.right);
  return mendable.slice(0, COUNTS.mendable).flatMap((list, at) => (at % 3 === 2 ? [list, right[(at - 2) / 3]] : [list]));
}

/** The service worker has a list of the page's files, and a hash of their contents. */
function writeWorker() {
  const files = readdirSync(dist, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(d\.ts|map|br|gz)$|^_headers$/.test(entry.name))
    .map((entry) => relative(dist, join(entry.parentPath ?? entry.path, entry.name)).replaceAll('\\', '/'))
    // The service worker stores the second wasm module only for those who use it.
    .filter((name) => !name.startsWith('models/') && !name.startsWith('lorb/wasm/lorb_tokenizer'))
    .sort();
  const hash = createHash('sha256');
  for (const name of files) hash.update(name).update(readFileSync(join(dist, name)));
  const source = readFileSync(join(here, 'offline.js'), 'utf8');
  const filled = source
    .replace("'@VERSION@'", JSON.stringify(hash.digest('hex').slice(0, 16)))
    .replace("['@FILES@']", JSON.stringify(files.map((name) => name.replace(/(^|\/)index\.html$/, '$1') || './')));
  writeFileSync(join(dist, 'offline.js'), filled);
}
