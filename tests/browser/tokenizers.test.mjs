// Tokenizers in wasm give the ids of Transformers on texts in twelve scripts, and refuse what the native tool refuses, with the
// same message. In Node.js, with the real modules.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';

import { binary, scratch } from './native.mjs';
import { root } from './site.mjs';

const golden = (...path) => readFileSync(join(root, 'tests/golden', ...path));
const about = JSON.parse(golden('tokenizers/cases.json'));
const subwords = JSON.parse(golden('tokenizers/subwords.json'));
const vocabulary = golden('tokenizers/vocab.txt').toString();
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const bytes = (value) => Buffer.from(JSON.stringify(value));

/** The texts of make_tokenizers.py. */
function texts() {
  let state = 15n;
  const below = (count) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number((state >> 33n) % BigInt(count));
  };
  const scripts = Object.values(about.scripts).map((letters) => [...letters]);
  return Array.from({ length: about.texts }, (_, number) => {
    const letters = scripts[number % scripts.length];
    let text = '';
    for (let words = 1 + below(10); words > 0; words--) {
      if (below(4) === 0) text += about.others[below(about.others.length)];
      else for (let count = 1 + below(6); count > 0; count--) text += letters[below(letters.length)];
      if (below(4) > 0) text += ' ';
    }
    return text;
  });
}

/** The configuration and the files of a folder with BERT's tokenizer. */
function plainFolder({ files }) {
  const lines = vocabulary.trimEnd().split('\n');
  const all = { 'vocab.txt': Buffer.from(vocabulary) };
  for (const [name, contents] of Object.entries(files)) {
    if (name === 'tokenizer.json') contents.model.vocab = Object.fromEntries(lines.map((piece, id) => [piece, id]));
    all[name] = bytes(contents);
  }
  return { config: config('bert', lines.length + 8, about.positions), files: all };
}

/** The same for byte-pair encoding and Unigram. */
function subwordFolder({ model_type: type, shared, files }) {
  const all = {};
  for (const name of shared) all[name] = Buffer.from(subwords.shared[name], name.endsWith('.model') ? 'base64' : 'utf8');
  for (const [name, contents] of Object.entries(files)) all[name] = bytes(contents);
  return { config: config(type, 900, subwords.positions + 2), files: all };
}

const config = (type, tokens, positions) => bytes({
  model_type: type, vocab_size: tokens, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8,
  max_position_embeddings: positions, type_vocab_size: 1, pad_token_id: type === 'bert' ? 0 : 1,
});

/** Weights of zeros. */
function weights(config) {
  const { vocab_size: tokens, max_position_embeddings: positions } = JSON.parse(config);
  const shapes = { 'embeddings.word_embeddings.weight': [tokens, 8], 'embeddings.position_embeddings.weight': [positions, 8], 'embeddings.token_type_embeddings.weight': [1, 8] };
  const layer = 'encoder.layer.0.';
  for (const name of ['attention.self.query', 'attention.self.key', 'attention.self.value', 'attention.output.dense', 'intermediate.dense', 'output.dense']) {
    Object.assign(shapes, { [`${layer}${name}.weight`]: [8, 8], [`${layer}${name}.bias`]: [8] });
  }
  for (const norm of ['embeddings.LayerNorm', `${layer}attention.output.LayerNorm`, `${layer}output.LayerNorm`]) {
    Object.assign(shapes, { [`${norm}.weight`]: [8], [`${norm}.bias`]: [8] });
  }
  let end = 0;
  const header = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const start = end;
    end += 4 * shape.reduce((product, length) => product * length);
    header[name] = { dtype: 'F32', shape, data_offsets: [start, end] };
  }
  const text = JSON.stringify(header);
  const file = Buffer.alloc(8 + text.length + end);
  file.writeBigUInt64LE(BigInt(text.length));
  file.write(text, 8);
  return file;
}

/** A module, started with its file. */
async function start(name) {
  const folder = new URL('../../web/dist/wasm/', import.meta.url);
  const module = await import(new URL(`${name}.js`, folder));
  await module.default({ module_or_path: readFileSync(new URL(`${name}_bg.wasm`, folder)) });
  return module;
}

let main, other, all;
before(async () => {
  [main, other, all] = [await start('lorb'), await start('lorb_tokenizer'), texts()];
});

/** Compares the ids of all texts with those of Transformers. */
function compare(tokenizer, { sha256: whole, bytes: digits, examples, mask }) {
  for (const { text, ids } of examples) assert.deepEqual([...tokenizer.encode(text)].slice(0, -1), ids, JSON.stringify(text));
  const counts = [];
  const lines = all.map((text, at) => {
    const ids = tokenizer.encode(text).slice(0, -1);
    counts.push(ids.length);
    const line = ids.join(' ');
    assert.equal(sha256(line).slice(0, 2), digits.slice(2 * at, 2 * at + 2), `${JSON.stringify(text)}: ${line}`);
    return `${line}\n`;
  });
  assert.equal(sha256(lines.join('')), whole);
  if (mask !== null) assert.equal(tokenizer.mask(), mask);
  return counts;
}

/** The numbers of tokens that the first module counts, with the second one's tokenizer or its own. */
async function counted({ config, files }, tokenizer) {
  const device = await main.GpuDevice.open('wasm');
  const loader = new main.BaseLoader(config, files, tokenizer, undefined, 'fp32', 0);
  loader.push(weights(config));
  const model = await loader.finish(device);
  const counts = [...model.tokenCounts(all)];
  model.free();
  return counts;
}

assert.ok(Object.keys(about.cases).length > 15 && Object.keys(subwords.cases).length > 10);
for (const [name, found] of Object.entries(about.cases)) {
  test(`word pieces, ${name}: the ids of Transformers`, async () => {
    const folder = plainFolder(found);
    const tokenizer = new other.Tokenizer(folder.config, folder.files);
    assert.deepEqual(await counted(folder), compare(tokenizer, found));
    tokenizer.free();
  });
}
for (const [name, found] of Object.entries(subwords.cases)) {
  test(`subwords, ${name}: the ids of Transformers`, async () => {
    const folder = subwordFolder(found);
    assert.throws(() => new main.BaseLoader(folder.config, folder.files, undefined, undefined, 'fp32', 0), { name: 'OtherTokenizerError' });
    const tokenizer = new other.Tokenizer(folder.config, folder.files);
    assert.deepEqual(await counted(folder, tokenizer), compare(tokenizer, found));
    tokenizer.free();
  });
}

test('a long text is truncated, and the last number says so', () => {
  const { config, files } = subwordFolder(subwords.cases['roberta-json']);
  const tokenizer = new other.Tokenizer(config, files);
  const [short, long] = ['turn', 'turn '.repeat(10_000)].map((text) => [...tokenizer.encode(text)]);
  assert.equal(short.at(-1), 0);
  assert.deepEqual([long.length - 1, long.at(-1)], [subwords.positions, 1]);
  tokenizer.free();
});

test('a tokenizer that the native tool refuses is refused with the same message', async (t) => {
  const folder = scratch(t);
  cpSync(join(root, 'tests/golden/roberta'), folder, { recursive: true });
  const given = JSON.parse(golden('roberta/tokenizer.json'));
  const changed = (change) => {
    const file = structuredClone(given);
    change(file);
    return { 'tokenizer.json': bytes(file) };
  };
  const cases = {
    'its dropout is not 0': changed(({ model }) => (model.dropout = 0.1)),
    'not valid|control character|EOF': { 'tokenizer.json': golden('roberta/tokenizer.json').subarray(0, 1000) },
    'unknown variant `Magic`': changed((file) => (file.pre_tokenizer = { type: 'Magic' })),
    'LoRB reads WordPiece, Unigram and BPE': changed(({ model }) => (model.type = 'WordLevel')),
    'has id 100000': changed(({ model }) => (model.vocab.zzz = 100_000)),
    'Japanese dictionary': { 'tokenizer_config.json': bytes({ tokenizer_class: 'BertJapaneseTokenizer' }) },
    '`truncation_side` is "left"': { 'tokenizer_config.json': bytes({ truncation_side: 'left' }) },
    'not supported; LoRB reads characters': changed((file) => (file.normalizer = { type: 'Replace', pattern: { Regex: '(a+)+' }, content: '' })),
  };
  assert.ok(Object.keys(cases).length > 5);
  const config = golden('roberta/config.json');
  for (const [expected, files] of Object.entries(cases)) {
    const every = { 'tokenizer.json': golden('roberta/tokenizer.json'), ...files };
    const refused = (work) => {
      try {
        work();
        return { message: 'it loads' };
      } catch (error) {
        return error;
      }
    };
    let error = refused(() => new main.BaseLoader(config, every, undefined, undefined, 'fp32', 0));
    if (error.name === 'OtherTokenizerError') error = refused(() => new other.Tokenizer(config, every));
    assert.match(error.message, new RegExp(expected));
    assert.ok(['UnsupportedModelError', 'IntegrityError'].includes(error.name), error.name);
    writeFileSync(join(folder, 'tokenizer_config.json'), '{}');
    for (const [name, contents] of Object.entries(every)) writeFileSync(join(folder, name), contents);
    const args = ['rescore', join(folder, 'lists.jsonl'), '--model', folder, '--adapter', join(folder, 'adapter'), '--device', 'cpu', '--beta', '1'];
    const { stderr } = spawnSync(binary(), args, { encoding: 'utf8' });
    assert.ok(stderr.includes(error.message), `${stderr}\n${error.message}`);
  }
});
