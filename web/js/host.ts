/** The worker's side: owns the wasm instance and executes requests one after the other. */

import type * as Wasm from './wasm/lorb.js';
import type * as Tokenizers from './wasm/lorb_tokenizer.js';
import { abortError, BadInputError, toWire } from './errors.js';
import { checkFiles, writeFile } from './files.js';
import type { Operation, Params, Reply, Request, Result } from './protocol.js';

export interface Port {
  postMessage(message: Reply, transfer?: Transferable[]): void;
}

/** Callbacks of a running call. */
interface Call {
  done: (hypotheses: number) => void;
  isAborted: () => boolean;
}

type Handlers = { [O in Operation]: (params: Params<O>, call: Call) => Result<O> | Promise<Result<O>> };

/** The name of the module's error for a tokenizer that only the second module reads. */
const OTHER_TOKENIZER = 'OtherTokenizerError';

export class Host {
  #port: Port;
  #load: () => Promise<typeof Wasm>;
  #loading: Promise<typeof Wasm> | undefined;
  #device: Wasm.GpuDevice | undefined;
  #loadTokenizers: () => Promise<typeof Tokenizers>;
  #loader: Wasm.BaseLoader | undefined;
  /** The tokenizer of the base, if it is in the second module. */
  #tokenizer: Tokenizers.Tokenizer | undefined;
  #model: Wasm.Model | undefined;
  #runs = new Map<number, { trainer: Wasm.Trainer; kept: number }>();
  #lastRun = 0;
  /** The end of the queue. Operations borrow the model, so they must not overlap. */
  #queue: Promise<unknown> = Promise.resolve();
  #aborted = new Set<number>();
  #open = new Set<number>();
  /** Held until the worker ends, which closes them. */
  #ports: MessagePort[] = [];

  /** `load` starts the wasm module, and `loadTokenizers` the one with the tokenizers that it lacks. */
  constructor(port: Port, load: () => Promise<typeof Wasm>, loadTokenizers: () => Promise<typeof Tokenizers>) {
    this.#port = port;
    this.#load = load;
    this.#loadTokenizers = loadTokenizers;
  }

  receive(request: Request): void {
    if ('port' in request) return void this.#ports.push(request.port);
    if ('abort' in request) {
      if (this.#open.has(request.abort)) this.#aborted.add(request.abort);
      return;
    }
    const { id, op, params } = request;
    this.#open.add(id);
    // Parsing text does not use the model, so it does not wait for a training step.
    const run = () => this.#answer(id, op, params);
    if (op === 'text.parse') void run();
    else this.#queue = this.#queue.then(run);
  }

  /** Tells the page that the worker runs, and the lock that it holds; an empty name if none. */
  started(lock: string): void {
    this.#port.postMessage({ lock });
  }

  /** Reports to the page that this instance is dead. */
  fail(reason: string): void {
    this.#port.postMessage({ fatal: reason });
  }

  async #answer(id: number, op: Operation, params: unknown): Promise<void> {
    const isAborted = () => this.#aborted.has(id);
    try {
      if (isAborted()) throw abortError();
      const handle = this.#handlers[op] as (params: unknown, call: Call) => unknown;
      const result = await handle(params, { done: (done) => this.#port.postMessage({ id, done }), isAborted });
      this.#port.postMessage({ id, result }, buffers(result));
    } catch (error) {
      this.#port.postMessage({ id, error: toWire(error) });
    } finally {
      this.#open.delete(id);
      this.#aborted.delete(id);
    }
  }

  #wasm(): Promise<typeof Wasm> {
    return (this.#loading ??= this.#load());
  }

  #theModel(): Wasm.Model {
    if (!this.#model) throw new BadInputError('no base is loaded');
    return this.#model;
  }

  #theLoader(): Wasm.BaseLoader {
    if (!this.#loader) throw new BadInputError('no base is being loaded');
    return this.#loader;
  }

  #theRun(run: number): { trainer: Wasm.Trainer; kept: number } {
    const found = this.#runs.get(run);
    if (!found) throw new BadInputError('this run has ended');
    return found;
  }

  #handlers: Handlers = {
    'device.open': async ({ kind, dtype }) => {
      const { GpuDevice } = await this.#wasm();
      this.#device = await GpuDevice.open(kind);
      this.#device.checkDtype(dtype);
      return { kind: this.#device.kind, name: this.#device.name };
    },

    'base.begin': async ({ config, tokenizer, index, dtype, total }) => {
      const { BaseLoader } = await this.#wasm();
      // A restarted download: earlier bytes belong to another file.
      this.#loader?.free();
      this.#tokenizer?.free();
      this.#loader = this.#tokenizer = undefined;
      const open = () => new BaseLoader(config, tokenizer, this.#tokenizer, index, dtype, total);
      try {
        this.#loader = open();
      } catch (error) {
        if ((error as Error).name !== OTHER_TOKENIZER) throw error;
        const { Tokenizer } = await this.#loadTokenizers();
        this.#tokenizer = new Tokenizer(config, tokenizer);
        this.#loader = open();
      }
      return this.#loader.shards();
    },
    'base.shard': ({ total }) => this.#theLoader().beginShard(total),
    'base.shardHash': () => this.#theLoader().fileHash,
    'base.push': ({ chunk }) => this.#theLoader().push(chunk),
    'base.finish': async ({ name }) => {
      const loader = this.#loader;
      if (!loader || !this.#device) throw new BadInputError('no base is being loaded');
      const shards = loader.shards().length;
      // Consumed, on success and on failure.
      this.#loader = undefined;
      this.#model = await loader.finish(this.#device);
      this.#model.name = name;
      const { hash, fileHash, parameters, dtype, notes } = this.#model;
      return { hash, fileHash, parameters, dtype, shards, notes };
    },

    'adapter.read': ({ name, config, weights }) => this.#theModel().readAdapter(name, config, weights),
    'adapter.init': ({ name, options }) => this.#theModel().initAdapter(name, options),
    'adapter.write': ({ name }) => {
      const { config, weights } = this.#theModel().writeAdapter(name);
      return { config, weights };
    },
    'adapter.remove': ({ name }) => this.#theModel().removeAdapter(name),

    'model.warm-up': ({ adapter }) => this.#theModel().warmUp(adapter),
    'model.score': ({ adapter, lists, batchTokens, conventions }, { done, isAborted }) =>
      this.#theModel().score(adapter, lists, batchTokens, done, isAborted, conventions),
    'model.encode': ({ texts, batchTokens }, { done, isAborted }) => this.#theModel().cls(texts, batchTokens, done, isAborted),
    'model.rescore': ({ adapter, lists, weights, batchTokens, conventions }, { done, isAborted }) =>
      this.#theModel().rescore(adapter, lists, weights, batchTokens, done, isAborted, conventions),
    'model.rerank': ({ adapter, lists, weights, batchTokens, conventions }, { done, isAborted }) =>
      this.#theModel().rerank(adapter, lists, weights, batchTokens, done, isAborted, conventions),
    'model.evaluate': ({ adapter, lists, weights, seed, batchTokens, conventions }, { done, isAborted }) =>
      this.#theModel().evaluate(adapter, lists, weights, batchTokens, seed, done, isAborted, conventions),
    'model.tune': ({ adapter, lists, gamma, parts, batchTokens, conventions }, { done, isAborted }) =>
      this.#theModel().tune(adapter, lists, gamma, batchTokens, done, isAborted, conventions, parts),
    'model.tokens': ({ texts }) => this.#theModel().tokenCounts(texts),
    'model.memory': () => {
      const memory = this.#theModel().memory();
      return { ...memory, wasm: memory.wasm + (this.#tokenizer?.memory ?? 0) };
    },

    'train.start': ({ adapter, options, train, dev, checkpoint }) => {
      const trainer = this.#theModel().createTrainer(adapter, options, train, dev, checkpoint);
      const run = ++this.#lastRun;
      this.#runs.set(run, { trainer, kept: trainer.keptStep() });
      return { run, step: trainer.step, steps: trainer.steps };
    },
    'train.next': async ({ run }) => {
      const entry = this.#theRun(run);
      const { trainer } = entry;
      const message = await trainer.next();
      const keptStep = trainer.keptStep();
      const kept = keptStep > entry.kept ? trainer.kept() : undefined;
      entry.kept = keptStep;
      return { message, step: trainer.step, steps: trainer.steps, kept };
    },
    'train.checkpoint': ({ run }) => this.#theRun(run).trainer.checkpoint(),
    'train.best': ({ run, name }) => this.#theRun(run).trainer.best(name),
    'train.end': ({ run }) => {
      this.#runs.get(run)?.trainer.free();
      this.#runs.delete(run);
    },

    'text.parse': async ({ files, name, format, references, manifest, scoreKey, scoreKind, acousticScale }) => (await this.#wasm()).parseNbest(files, name, format, references, manifest, scoreKey, scoreKind, acousticScale),

    'file.check': checkFiles,
    'file.write': ({ path, bytes }) => writeFile(path, bytes),

    dispose: () => {
      for (const { trainer } of this.#runs.values()) trainer.free();
      this.#runs.clear();
      this.#loader?.free();
      this.#model?.free();
      this.#tokenizer?.free();
      this.#device?.free();
      this.#loader = this.#model = this.#tokenizer = this.#device = undefined;
    },
  };
}

/** The buffers in an answer, to transfer instead of copying: the wasm module created them for this answer only. */
function buffers(result: unknown): Transferable[] {
  const values = Array.isArray(result) ? result : [result, ...(result && typeof result === 'object' ? Object.values(result) : [])];
  return values.filter(ArrayBuffer.isView).map((view) => view.buffer as ArrayBuffer);
}
