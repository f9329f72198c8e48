// A fake of the wasm module with predictable arithmetic: a text's score is the adapter's factor times its length.

import { createHash } from 'node:crypto';

const named = (name, message) => Object.assign(new Error(message), { name });
const encode = (value) => new TextEncoder().encode(JSON.stringify(value));
const decode = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

/** `control` is shared by all instances, as a GPU is: `opens`, `lostAt` (calls of next until the device is lost), `trapAt`, `noGpu`, `pushes`, `finishFails` (an error's name). */
export function fakeWasm(control = {}) {
  Object.assign(control, { opens: 0, pushed: [], live: 0, ...control });

  class GpuDevice {
    static async open(kind) {
      if (kind === 'webgpu' && control.noGpu) throw named('WebGPUNotAvailableError', 'WebGPU is not available');
      control.opens++;
      control.live++;
      const device = new GpuDevice();
      return Object.assign(device, { kind, name: `fake ${control.opens}` });
    }
    checkDtype(dtype) {
      if (dtype === 'mixed' && this.kind !== 'webgpu') throw named('DeviceRefusedError', `${this.name} does not compute in mixed`);
    }
    free() {
      control.live--;
    }
  }

  class BaseLoader {
    #bytes = 0;
    #total;
    #sha = createHash('sha256');
    #shards = [];
    #shard;
    constructor(config, files, other, index, dtype, total) {
      const { model_type: type } = decode(config);
      if (type === 'roberta' && !other) throw named('OtherTokenizerError', 'its model is BPE');
      if (type !== 'bert' && !other) throw named('UnsupportedModelError', `model_type is ${type}`);
      this.dtype = dtype;
      this.#total = total;
      const text = (name) => files[name] && new TextDecoder().decode(files[name]);
      const [json, vocab] = [text('tokenizer.json'), text('vocab.txt')];
      control.tokenizer = { text: json ?? vocab, json, vocab, settings: text('tokenizer_config.json'), special: text('special_tokens_map.json'), added: text('added_tokens.json') };
      if (index) {
        this.#shards = [...new Set(Object.values(decode(index).weight_map))].sort();
        this.#total = 0;
      }
    }
    shards() {
      return this.#shards;
    }
    beginShard(total) {
      this.#total += total;
      this.#shard = createHash('sha256');
      (control.begun ??= []).push(total);
    }
    get fileHash() {
      return (this.#shard ?? this.#sha).copy().digest('hex');
    }
    push(chunk) {
      if (control.refuseByte !== undefined && chunk.includes(control.refuseByte)) {
        throw named('UnsupportedModelError', `byte ${control.refuseByte} is not a weight`);
      }
      control.pushed.push(chunk.length);
      this.#bytes += chunk.length;
      this.#sha.update(chunk);
      this.#shard?.update(chunk);
    }
    async finish(device) {
      if (control.finishFails) throw named(control.finishFails, 'the base does not fit');
      if (this.#bytes !== this.#total) throw named('UnsupportedModelError', `${this.#bytes} of ${this.#total} bytes`);
      return new Model(device, this.#sha.digest('hex'), this.#bytes, this.dtype);
    }
    free() {}
  }

  class Model {
    #adapters = new Map();
    constructor(device, hash, parameters, dtype) {
      Object.assign(this, { device, hash, fileHash: hash, parameters, dtype, notes: control.notes ?? [] });
      control.models = (control.models ?? 0) + 1;
    }
    #info(name) {
      const adapter = this.#adapters.get(name);
      if (!adapter) throw named('BadInputError', `no adapter ${name}`);
      const { factor, beta } = adapter;
      return { name, rank: 8, alpha: 16, targets: ['query'], parameters: 1, beta, gamma: 0, baseHash: this.hash, factor };
    }
    async warmUp(adapter) {
      if (control.refuses) throw named('DeviceRefusedError', 'the GPU returns wrong results');
      (control.warmed ??= []).push(adapter);
      return control.batchTokens ?? 2048;
    }
    tokenCounts(texts) {
      return Uint32Array.from(texts, (text) => text.length);
    }
    readAdapter(name, config, weights) {
      if (decode(config).base !== this.hash) throw named('AdapterError', 'of another base');
      this.#adapters.set(name, decode(weights));
      return this.#info(name);
    }
    initAdapter(name, { r = 8, seed = 0 }) {
      this.#adapters.set(name, { factor: seed + 1, beta: null, rank: r });
      return this.#info(name);
    }
    removeAdapter(name) {
      return this.#adapters.delete(name);
    }
    writeAdapter(name) {
      this.#info(name);
      return { config: encode({ base: this.hash, baseName: this.name }), weights: encode(this.#adapters.get(name)) };
    }
    #lm(adapter, text) {
      return this.#info(adapter).factor * text.length;
    }
    async #lists(lists, done, isAborted) {
      // wasm-bindgen does not allow a second borrow.
      if (this.busy) throw new Error('recursive use of an object');
      this.busy = true;
      try {
        await this.#each(lists, done, isAborted);
      } finally {
        this.busy = false;
      }
    }
    async #each(lists, done, isAborted) {
      let count = 0;
      for (const list of lists) {
        await new Promise((resolve) => setTimeout(resolve, control.listMs ?? 0));
        if (isAborted()) {
          control.sawAbort = true;
          throw named('AbortError', 'aborted');
        }
        if (control.loseScoring-- > 0) throw named('DeviceLostError', 'the device was lost');
        count += list.nbest.length;
        done(count);
      }
    }
    async score(adapter, lists, batchTokens, done, isAborted) {
      (control.batches ??= []).push(batchTokens);
      await this.#lists(lists, done, isAborted);
      return lists.map(({ nbest }) => Float64Array.from(nbest, ({ text }) => this.#lm(adapter, text)));
    }
    async cls(texts, batchTokens) {
      (control.batches ??= []).push(batchTokens);
      return Float32Array.from(texts, (text) => text.length);
    }
    async rescore(adapter, lists, weights, batchTokens, done, isAborted, conventions) {
      control.conventions = conventions;
      (control.batches ??= []).push(batchTokens);
      await this.#lists(lists, done, isAborted);
      const beta = weights?.beta ?? (adapter && this.#info(adapter).beta) ?? 1;
      for (const { id, nbest } of lists) if (nbest.length > 200) throw named('BadInputError', `lists: utterance "${id}": ${nbest.length} hypotheses`);
      return lists.map(({ nbest }) => {
        const ranked = nbest.map(({ text, score }, index) => {
          const lm = adapter === null ? null : this.#lm(adapter, text);
          return { text, score: (score ?? 0) + beta * (lm ?? 0), first: score ?? null, lm, index, truncated: false };
        });
        ranked.sort((a, b) => b.score - a.score);
        return ranked.map((entry, at) => ({ ...entry, rank: at + 1 }));
      });
    }
    async rerank(adapter, lists, ...rest) {
      const ranked = await this.rescore(adapter, lists, ...rest);
      return lists.map((list, at) => ({ ...list, nbest: ranked[at].map(({ index, lm, score }) => ({ ...list.nbest[index], lm, total: score })) }));
    }
    async evaluate(adapter, lists) {
      if (adapter !== null) this.#info(adapter);
      return { utterances: lists.length, choices: lists.map(() => 0), adapter };
    }
    async tune(adapter) {
      this.#adapters.get(adapter).beta = 0.5;
      return { beta: 0.5, gamma: 0, wer: 0, adapter: this.#info(adapter) };
    }
    createTrainer(adapter, options, train, dev, checkpoint) {
      if (train.every(({ ref }) => ref == null)) throw named('BadInputError', 'nothing to train on');
      const { factor } = this.#info(adapter);
      return new Trainer(this.#adapters, (name) => this.#info(name), { factor, steps: options.epochs ?? 20, ...(checkpoint ? decode(checkpoint) : {}) }, control);
    }
    memory() {
      return { wasm: 1, device: 2, deviceReserved: 3 };
    }
    free() {
      control.models--;
    }
  }

  class Trainer {
    #adapters;
    #kept;
    #info;
    constructor(adapters, info, state) {
      this.#adapters = adapters;
      this.#info = info;
      Object.assign(this, { steps: state.steps, step: state.step ?? 0, factor: state.factor, begun: false });
      this.#kept = { step: this.step, factor: this.factor };
      control.trainers = (control.trainers ?? 0) + 1;
    }
    async next() {
      await new Promise((resolve) => setTimeout(resolve, control.stepMs ?? 0));
      if (!this.begun) {
        this.begun = true;
        return { type: 'started', steps: this.steps, done: this.step };
      }
      if (control.lostAt?.[0] === this.step) {
        control.lostAt.shift();
        throw named('DeviceLostError', 'the device was lost (destroyed)');
      }
      if (control.trapAt === this.step) {
        control.trapAt = undefined;
        throw new WebAssembly.RuntimeError('unreachable');
      }
      if (control.badLossAt === this.step) throw named('BadInputError', 'the loss is NaN');
      if (this.step === this.steps) {
        if (this.over) return undefined;
        this.over = true;
        return { type: 'finished', steps: this.steps, best_step: null, best_wer: null, stopped_early: false };
      }
      if (this.step === 2 && !this.warned) {
        this.warned = true;
        return { type: 'warning', kind: 'no_development_set', text: 'no dev lists' };
      }
      this.step++;
      this.factor += 1;
      if (this.step % 8 === 0) this.#kept = { step: this.step, factor: this.factor };
      return { type: 'step', step: this.step, steps: this.steps, loss: 1 / this.step };
    }
    async checkpoint() {
      return encode({ step: this.step, factor: this.factor });
    }
    kept() {
      return encode(this.#kept);
    }
    keptStep() {
      return this.#kept.step;
    }
    async best(name) {
      this.#adapters.set(name, { factor: this.factor, beta: 0.25 });
      return this.#info(name);
    }
    free() {
      control.trainers--;
    }
  }

  return {
    GpuDevice,
    BaseLoader,
    Model,
    Trainer,
    parseNbest: (files, name, format, references) => {
      // The fake does not read folders: it returns its input.
      if (Array.isArray(files)) return { lists: [{ id: 'folder', nbest: [], files, format, references }], notes: ['a note'] };
      const lists = (typeof files === 'string' ? files : new TextDecoder().decode(files)).trim().split('\n').map((line, at) => {
        try {
          return JSON.parse(line);
        } catch {
          throw named('BadInputError', `${name}:${at + 1}: not JSON`);
        }
      });
      return { lists, notes: [] };
    },
  };
}
