/** A base with random weights, and lists of random words: their results mean nothing, but their speed is the same. */

import { numbers } from './gpu.js';

/** @import {Shape} from './measure.js' */

/** Deviation of BERT's initial weights. */
const DEVIATION = 0.02;
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
/** Words of three letters, each a token. A small vocabulary keeps the base small; its size hardly changes the speed. */
const WORDS = 1019;
const POSITIONS = 64;
/** Lengths of hypotheses in tokens, with [CLS] and [SEP]: 20 in the mean. */
const SHORTEST = 14;
const SPREAD = 13;
const HYPOTHESES = 10;

/** @param {number} at */
function name(at) {
  const letter = (/** @type {number} */ value) => String.fromCharCode(97 + (value % 26));
  return letter(at) + letter(Math.floor(at / 26)) + letter(Math.floor(at / 676));
}

/** The files of a base in the layout of Hugging Face. @param {Shape} shape @returns {Record<string, Blob>} */
export function randomBase({ hidden, inner, layers, heads }) {
  const vocabulary = [...SPECIAL, ...Array.from({ length: WORDS }, (_, at) => name(at))];
  const config = {
    model_type: 'bert',
    vocab_size: vocabulary.length,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: inner,
    max_position_embeddings: POSITIONS,
    type_vocab_size: 2,
    layer_norm_eps: 1e-12,
    hidden_act: 'gelu',
  };
  /** @type {[name: string, shape: number[]][]} */
  const tensors = [
    ['embeddings.word_embeddings.weight', [vocabulary.length, hidden]],
    ['embeddings.position_embeddings.weight', [POSITIONS, hidden]],
    ['embeddings.token_type_embeddings.weight', [2, hidden]],
  ];
  const norm = (/** @type {string} */ path) => tensors.push([`${path}.weight`, [hidden]], [`${path}.bias`, [hidden]]);
  const linear = (/** @type {string} */ path, /** @type {number} */ outputs, /** @type {number} */ inputs) =>
    tensors.push([`${path}.weight`, [outputs, inputs]], [`${path}.bias`, [outputs]]);
  norm('embeddings.LayerNorm');
  for (let layer = 0; layer < layers; layer += 1) {
    const path = `encoder.layer.${layer}`;
    for (const part of ['query', 'key', 'value']) linear(`${path}.attention.self.${part}`, hidden, hidden);
    linear(`${path}.attention.output.dense`, hidden, hidden);
    norm(`${path}.attention.output.LayerNorm`);
    linear(`${path}.intermediate.dense`, inner, hidden);
    linear(`${path}.output.dense`, hidden, inner);
    norm(`${path}.output.LayerNorm`);
  }
  return {
    'config.json': new Blob([JSON.stringify(config)]),
    'vocab.txt': new Blob([vocabulary.join('\n') + '\n']),
    'model.safetensors': safetensors(tensors),
  };
}

/** @param {[name: string, shape: number[]][]} tensors */
function safetensors(tensors) {
  /** @type {Record<string, {dtype: string, shape: number[], data_offsets: [number, number]}>} */
  const header = {};
  const next = numbers(7);
  const parts = [];
  let end = 0;
  for (const [path, shape] of tensors) {
    const count = shape.reduce((product, size) => product * size, 1);
    const values = new Float32Array(count);
    if (path.endsWith('LayerNorm.weight')) values.fill(1);
    // A uniform number's deviation is its limit over the root of 3.
    else if (!path.endsWith('.bias')) for (let at = 0; at < count; at += 1) values[at] = DEVIATION * Math.sqrt(3) * (2 * next() - 1);
    header[path] = { dtype: 'F32', shape, data_offsets: [end, end + 4 * count] };
    end += 4 * count;
    parts.push(values);
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new BigUint64Array([BigInt(text.length)]);
  return new Blob([length, text, ...parts]);
}

/** Lists of ten different hypotheses, one of which is the reference, with about `tokens` tokens in total. @param {number} tokens @param {number} seed */
export function randomLists(tokens, seed) {
  const next = numbers(seed);
  const below = (/** @type {number} */ n) => Math.floor(n * next());
  const lists = [];
  for (let made = 0; made < tokens || lists.length === 0; ) {
    const nbest = Array.from({ length: HYPOTHESES }, (_, at) => {
      const length = SHORTEST + below(SPREAD);
      made += length;
      const text = Array.from({ length: length - 2 }, () => name(below(WORDS))).join(' ');
      return { text, score: -2 - 0.3 * at };
    });
    lists.push({ id: `u${lists.length}`, ref: nbest[3]?.text ?? '', nbest });
  }
  return lists;
}
