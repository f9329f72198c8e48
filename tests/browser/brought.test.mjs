// What users bring: tokenizers with settings, and weights in several files.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { quiet } from './browser.mjs';
import { root } from './site.mjs';
import { stage } from './stage.mjs';

const TOLERANCE = 1e-4;
const staged = stage();
const golden = (path) => readFileSync(join(root, 'tests/golden', path));
const tokenizers = JSON.parse(golden('tokenizers/cases.json'));

/** The files of the tiny base with the tokenizer of a golden case. */
function tinyWith({ words, vocabulary, files }) {
  const pieces = golden('tiny/vocab.txt').toString().trimEnd().split('\n');
  pieces.splice(pieces.length - words, words, ...vocabulary);
  const texts = Object.entries(files).map(([name, contents]) => {
    const whole = structuredClone(contents);
    if (name === 'tokenizer.json') whole.model.vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
    return [name, Buffer.from(JSON.stringify(whole))];
  });
  const plain = { 'config.json': golden('tiny/config.json'), 'vocab.txt': Buffer.from(pieces.join('\n')), 'model.safetensors': golden('tiny/model.safetensors') };
  return { ...plain, ...Object.fromEntries(texts) };
}

function publish(folder, files) {
  for (const [name, bytes] of Object.entries(files)) staged.server.files[`${folder}/${name}`] = bytes;
}

test('settings of tokenizers count as in Transformers', async () => {
  const cases = Object.entries(tokenizers.scored);
  assert.equal(cases.length, 4);
  for (const [name, one] of cases) publish(`/brought/${name}`, tinyWith(one));
  const { page, context, complaints } = await staged.visit();
  const found = await page.evaluate(async (given) => {
    const found = {};
    for (const [name, text] of given) {
      const rescorer = await window.lorb.Rescorer.fromPretrained(`/brought/${name}`, { device: 'wasm', adapter: '/golden/tiny/adapter', cache: null });
      found[name] = (await rescorer.score([[text]]))[0][0];
      await rescorer.dispose();
    }
    return found;
  }, cases.map(([name, { text }]) => [name, text]));
  for (const [name, { lm }] of cases) assert.ok(Math.abs(found[name] - lm) < TOLERANCE, `${name}: ${found[name]}, expected ${lm}`);
  quiet(complaints, [/status of 404/]);
  await context.close();
});

test('settings that do not count are said, and those that are not supported refused by name', async () => {
  const files = { 'config.json': golden('tiny/config.json'), 'tokenizer.json': golden('tiny/tokenizer.json'), 'model.safetensors': golden('tiny/model.safetensors') };
  publish('/brought/cased', { ...files, 'tokenizer_config.json': Buffer.from('{"do_lower_case":false}') });
  publish('/brought/mecab', { ...files, 'tokenizer_config.json': Buffer.from('{"tokenizer_class":"BertJapaneseTokenizer"}') });
  publish('/brought/html', { ...files, 'special_tokens_map.json': Buffer.from('{"cls_token":') });
  const { page, context, complaints } = await staged.visit();
  const answer = await page.evaluate(async () => {
    const { Rescorer } = window.lorb;
    const notes = [];
    const progress_callback = ({ status, message }) => status === 'note' && notes.push(message);
    await (await Rescorer.fromPretrained('/brought/cased', { device: 'wasm', cache: null, progress_callback })).dispose();
    const refused = (folder) => Rescorer.fromPretrained(folder, { device: 'wasm', cache: null }).then(() => undefined, ({ name, message }) => ({ name, message }));
    return { notes, mecab: await refused('/brought/mecab'), damaged: await refused('/brought/html') };
  });
  assert.equal(answer.notes.length, 1);
  assert.match(answer.notes[0], /disagree about `do_lower_case` and `strip_accents`/);
  assert.equal(answer.mecab.name, 'UnsupportedModelError');
  assert.match(answer.mecab.message, /`tokenizer_class` is "BertJapaneseTokenizer"/);
  assert.equal(answer.damaged.name, 'IntegrityError');
  assert.match(answer.damaged.message, /special_tokens_map\.json/);
  quiet(complaints, [/status of 404/]);
  await context.close();
});

test('weights in several files give the scores of one file', async () => {
  const config = { model_type: 'bert', vocab_size: 14, hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 12, max_position_embeddings: 10, type_vocab_size: 2 };
  const words = '[PAD] [UNK] [CLS] [SEP] [MASK] play ##ing the song . A a b c'.split(' ');
  const plain = { 'config.json': Buffer.from(JSON.stringify(config)), 'vocab.txt': Buffer.from(words.join('\n')) };
  const shards = ['model.safetensors.index.json', 'model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  publish('/brought/shards', { ...plain, ...Object.fromEntries(shards.map((name) => [name, golden(`torch/${name}`)])) });
  publish('/brought/whole', { ...plain, 'model.safetensors': golden('torch/whole.safetensors') });
  publish('/brought/bin', { ...plain, 'pytorch_model.bin': golden('torch/layouts.bin') });
  const { page, context, complaints } = await staged.visit();
  const answer = await page.evaluate(async () => {
    const { Rescorer } = window.lorb;
    const encoded = {};
    const notes = [];
    for (const name of ['shards', 'whole', 'shards']) {
      const progress_callback = ({ status, message }) => status === 'note' && notes.push(message);
      const rescorer = await Rescorer.fromPretrained(`/brought/${name}`, { device: 'wasm', progress_callback });
      encoded[name] = [...(await rescorer.encode(['playing the song', 'a b c']))];
      await rescorer.dispose();
    }
    const bin = await Rescorer.fromPretrained('/brought/bin', { device: 'wasm', cache: null }).catch(({ name, message }) => ({ name, message }));
    return { encoded, notes, bin };
  });
  assert.equal(answer.encoded.whole.length, 16);
  assert.deepEqual(answer.encoded.shards, answer.encoded.whole);
  assert.match(answer.notes[0], /`module\.classifier\.weight` and the rest of its classifier are not used/);
  assert.deepEqual(answer.bin.name, 'UnsupportedModelError');
  assert.match(answer.bin.message, /convert pytorch_model\.bin/);
  quiet(complaints, [/status of 404/]);
  await context.close();
});
