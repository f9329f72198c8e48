// A base with the vocabulary of multilingual models, within the limits that every WebGPU device guarantees.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { altered } from './altered.mjs';
import { quiet } from './browser.mjs';
import { rescored, scratch, train } from './native.mjs';
import { stage } from './stage.mjs';

const TOLERANCE = 1e-4;
const TOKENS = 250_037;
const WIDTH = 384;
const LAYERS = 2;
/** Largest buffer that every WebGPU device can bind. */
const GUARANTEED = 128 << 20;
const staged = stage();

/** The tensors of a base with thin layers: name, shape, and type. */
function tensors() {
  const norm = (name) => [[`${name}.weight`, [WIDTH]], [`${name}.bias`, [WIDTH]]];
  const linear = (name) => [[`${name}.weight`, [WIDTH, WIDTH]], [`${name}.bias`, [WIDTH]]];
  const layer = (at) => {
    const names = ['attention.self.query', 'attention.self.key', 'attention.self.value', 'attention.output.dense', 'intermediate.dense', 'output.dense'];
    return [...names.flatMap(linear), ...norm('attention.output.LayerNorm'), ...norm('output.LayerNorm')].map(([name, shape]) => [`encoder.layer.${at}.${name}`, shape]);
  };
  return [
    ['embeddings.word_embeddings.weight', [TOKENS, WIDTH]],
    ['embeddings.position_embeddings.weight', [64, WIDTH]],
    ['embeddings.token_type_embeddings.weight', [2, WIDTH]],
    ...norm('embeddings.LayerNorm'),
    ...Array.from({ length: LAYERS }, (_, at) => layer(at)).flat(),
  ];
}

/** A half of up to 0.03 from 12 bits: a sign, 2 bits of the exponent from 2^-9 on, and 9 bits of the mantissa. */
const half = (bits) => ((bits & 1) << 15) | ((6 + ((bits >> 1) & 3)) << 10) | ((bits >> 3) << 1);

/** `model.safetensors` in halves. */
function weights() {
  const all = tensors();
  const header = {};
  let end = 0;
  for (const [name, shape] of all) {
    const start = end;
    end += 2 * shape.reduce((product, length) => product * length);
    header[name] = { dtype: 'F16', shape, data_offsets: [start, end] };
  }
  let text = JSON.stringify(header);
  text += ' '.repeat(-text.length & 7);
  const file = new ArrayBuffer(8 + text.length + end);
  new DataView(file).setBigUint64(0, BigInt(text.length), true);
  new Uint8Array(file).set(new TextEncoder().encode(text), 8);
  const halves = new Uint16Array(file, 8 + text.length);
  // Evenly spread numbers: a multiple of the golden ratio modulo 1.
  for (let at = 0, spread = 0; at < halves.length; at++) {
    spread = (spread + 0x9e3779b9) >>> 0;
    halves[at] = half(spread >>> 20);
  }
  for (const [name] of all.filter(([name]) => name.endsWith('LayerNorm.weight'))) {
    halves.fill(0x3c00, header[name].data_offsets[0] / 2, header[name].data_offsets[1] / 2);
  }
  return new Uint8Array(file);
}

/** The files of the base. Its words are w5, w6 and so on. */
function base() {
  const config = {
    model_type: 'bert', hidden_act: 'gelu', layer_norm_eps: 1e-12, vocab_size: TOKENS, hidden_size: WIDTH, num_hidden_layers: LAYERS,
    num_attention_heads: 12, intermediate_size: WIDTH, max_position_embeddings: 64, type_vocab_size: 2,
  };
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  const words = Array.from({ length: TOKENS }, (_, id) => special[id] ?? `w${id}`);
  return { 'config.json': Buffer.from(JSON.stringify(config)), 'vocab.txt': Buffer.from(words.join('\n')), 'model.safetensors': weights() };
}

/** Lists with words from the whole vocabulary. */
function lists() {
  const word = (at) => `w${5 + (at % (TOKENS - 5))}`;
  const text = (list, hypothesis) => Array.from({ length: 3 + 4 * list }, (_, place) => word(list * 50_021 + place * 7919 + ((hypothesis * place) % 3) * 31)).join(' ');
  const list = (at) => ({ id: `u${at}`, ref: text(at, 1), nbest: [0, 1, 2, 3].map((hypothesis) => ({ text: text(at, hypothesis), score: -hypothesis })) });
  return [0, 1, 2, 3, 4, 5].map(list);
}

test('a multilingual vocabulary scores within the limits of every WebGPU device', async (t) => {
  assert.ok(4 * TOKENS * WIDTH > GUARANTEED, 'a table that fits proves nothing');
  const directory = scratch(t);
  const given = lists();
  const path = join(directory, 'lists.jsonl');
  writeFileSync(path, given.map((list) => JSON.stringify(list)).join('\n'));
  for (const [name, bytes] of Object.entries(base())) {
    writeFileSync(join(directory, name), bytes);
    staged.server.files[`/large/${name}`] = bytes;
  }
  const { output } = train(t, directory, path, ['--epochs', '1']);
  for (const name of ['adapter_config.json', 'adapter_model.safetensors']) staged.server.files[`/large/adapter/${name}`] = readFileSync(join(output, name));
  const native = rescored(directory, output, path);

  const { page, context, complaints } = await staged.visit();
  page.setDefaultTimeout(180_000);
  // The device has the default limits, whatever the runtime asks for.
  const source = altered(
    staged.server.root,
    `const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function ({ requiredLimits, ...rest } = {}) {
      const device = await request.call(this, rest);
      const most = device.limits.maxStorageBufferBindingSize;
      if (most !== ${GUARANTEED}) throw new Error('the limit is ' + most);
      return device;
    };`,
  );
  const answer = await page.evaluate(
    async ([source, given]) => {
      const worker = () => new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), { type: 'module' });
      const start = performance.now();
      const rescorer = await window.lorb.Rescorer.fromPretrained('/large', { device: 'webgpu', adapter: '/large/adapter', cache: null, worker });
      const loading = performance.now() - start;
      const ranked = await rescorer.rescoreAll(given, { weights: { beta: 1 } });
      const memory = await rescorer.memory();
      await rescorer.dispose();
      return { ranked, memory, loading };
    },
    [source, given],
  );
  let greatest = 0;
  for (const [at, { nbest }] of native.entries()) {
    for (const { text, lm } of nbest) greatest = Math.max(greatest, Math.abs(answer.ranked[at].find((one) => one.text === text).lm - lm));
  }
  const { memory, loading } = answer;
  t.diagnostic(`greatest difference ${greatest.toExponential(1)}; loaded in ${(loading / 1e3).toFixed(1)} s; memory ${JSON.stringify(memory)}`);
  assert.equal(native.length, given.length);
  assert.ok(new Set(native.flatMap(({ nbest }) => nbest.map(({ lm }) => lm.toFixed(3)))).size > 6, 'scores differ between texts');
  assert.ok(greatest < TOLERANCE, `${greatest}`);
  // The table stays in the memory of the module, once and in halves.
  assert.ok(memory.deviceReserved < 64 << 20, JSON.stringify(memory));
  assert.ok(memory.wasm < 2 * TOKENS * WIDTH * 1.5, JSON.stringify(memory));
  // The base has a vocab.txt and no other file of a tokenizer.
  quiet(complaints, [/status of 404/]);
  await context.close();
});
