/** The page's side of a model. All heavy work happens in a worker, controlled by messages. */

import { loadAdapterFiles, origin } from './base.js';
import { BadInputError, throwIfAborted } from './errors.js';
import { toList, toLists } from './lists.js';
import { readText } from './parse.js';
import type { List } from './protocol.js';
import { Session } from './session.js';
import { Trainer } from './trainer.js';
import type {
  AdapterFiles,
  AdapterInfo,
  CallOptions,
  DeviceKind,
  Dtype,
  EvaluateOptions,
  LoadAdapterOptions,
  Memory,
  NBest,
  Ranked,
  Report,
  RescoreOptions,
  RescorerOptions,
  Source,
  TrainOptions,
  TuneOptions,
  Tuned,
  Utterance,
} from './types.js';

const DEVICES: readonly DeviceKind[] = ['webgpu', 'wasm'];
const DTYPES: readonly Dtype[] = ['fp32', 'fp16', 'int8'];
const DEFAULT_ADAPTER = 'default';

/** A base with adapters, which re-ranks N-best lists and trains on corrected ones. */
export class Rescorer {
  /** Hub id or folder of the base. */
  readonly name: string;
  #session: Session;
  #defaults: RescorerOptions;
  #active: string | null = null;
  #infos = new Map<string, AdapterInfo>();

  private constructor(name: string, session: Session, defaults: RescorerOptions) {
    this.name = name;
    this.#session = session;
    this.#defaults = defaults;
  }

  /**
   * Loads a base, from the cache if it was loaded before, and starts the device.
   *
   * Throws `WebGPUNotAvailableError`, `DeviceRefusedError`, `UnsupportedModelError`, `SourceError`, `IntegrityError`,
   * and the errors of `loadAdapter`.
   */
  static async fromPretrained(source: Source, options: RescorerOptions = {}): Promise<Rescorer> {
    const { device = 'webgpu', dtype = 'fp32', adapter, worker, signal } = options;
    choice('device', device, DEVICES);
    choice('dtype', dtype, DTYPES);
    throwIfAborted(signal);
    const from = origin(source, options);
    const session = new Session(from, device, dtype, worker);
    await session.open();
    const rescorer = new Rescorer(from.folder.name, session, options);
    try {
      if (adapter !== undefined) await rescorer.loadAdapter(adapter, signal ? { signal } : {});
      // Compiles and checks the GPU's kernels now, for the first adapter.
      await session.call('model.warm-up', { adapter: rescorer.activeAdapter ?? undefined }, { signal });
    } catch (error) {
      await rescorer.dispose();
      throw error;
    }
    from.emit({ status: 'ready', name: rescorer.name });
    return rescorer;
  }

  /** The requested device. */
  get device(): DeviceKind {
    return this.#session.opened.device.kind as DeviceKind;
  }

  /** The name that the device reports. */
  get deviceName(): string {
    return this.#session.opened.device.name;
  }

  get dtype(): Dtype {
    return this.#session.opened.base.dtype as Dtype;
  }

  /** SHA-256 of the base's weights. */
  get hash(): string {
    return this.#session.opened.base.hash;
  }

  /** Parameters of the frozen base. */
  get parameters(): number {
    return this.#session.opened.base.parameters;
  }

  /** Name of the adapter that scores, or `null`. */
  get activeAdapter(): string | null {
    return this.#active;
  }

  /** Re-ranks a list, best first. */
  async rescore(nbest: NBest, options: RescoreOptions = {}): Promise<Ranked[]> {
    const [ranked] = await this.#rescore([toList(nbest, 0)], options);
    return ranked!;
  }

  /** Re-ranks many lists at once, in the fastest order. */
  async rescoreAll(lists: readonly NBest[], options: RescoreOptions = {}): Promise<Ranked[][]> {
    return this.#rescore(toLists(lists, 'rescoreAll'), options);
  }

  async #rescore(lists: List[], options: RescoreOptions): Promise<Ranked[][]> {
    const { weights, batchTokens } = options;
    return this.#session.call('model.rescore', { adapter: this.#active, lists, weights, batchTokens }, watch(options, lists));
  }

  /** The active adapter's score for each text. */
  async score(lists: readonly (readonly string[])[], options: CallOptions = {}): Promise<number[][]> {
    if (this.#active === null) throw new BadInputError('score: no adapter is active; load one or train one');
    const texts = lists.map((list) => [...list]);
    const { batchTokens, signal, onProgress } = options;
    const total = texts.reduce((sum, list) => sum + list.length, 0);
    const onDone = onProgress && ((done: number) => onProgress(done, total));
    const scores = await this.#session.call('model.score', { adapter: this.#active, lists: texts, batchTokens }, { signal, onDone });
    return scores.map((list) => Array.from(list));
  }

  /** `[CLS]` of the base without adapter for each text: `texts.length` rows of the hidden size, row by row. */
  async encode(texts: readonly string[], { batchTokens, signal }: CallOptions = {}): Promise<Float32Array> {
    return this.#session.call('model.encode', { texts: [...texts], batchTokens }, { signal });
  }

  /** The number of tokens of each text, including `[CLS]` and `[SEP]`. */
  async tokenCounts(texts: readonly string[], { signal }: CallOptions = {}): Promise<Uint32Array> {
    return this.#session.call('model.tokens', { texts: [...texts] }, { signal });
  }

  /** WER of the first pass, the rescored result and the oracle, with intervals. Lists without `ref` are counted separately. */
  async evaluate(utterances: readonly Utterance[], options: EvaluateOptions = {}): Promise<Report> {
    const { weights, batchTokens, seed = 0 } = options;
    const lists = toLists(utterances, 'evaluate');
    return this.#session.call('model.evaluate', { adapter: this.#active, lists, weights, seed, batchTokens }, watch(options, lists));
  }

  /** Tunes the weights of the score combination and stores them in the active adapter. */
  async tune(utterances: readonly Utterance[], options: TuneOptions = {}): Promise<Tuned> {
    const adapter = this.#active;
    if (adapter === null) throw new BadInputError('tune: no adapter is active');
    const { gamma = false, batchTokens } = options;
    const lists = toLists(utterances, 'tune');
    const tuned = await this.#session.call('model.tune', { adapter, lists, gamma, batchTokens }, watch(options, lists));
    await this.#store(adapter);
    return tuned;
  }

  /** Parses lists from JSON lines, plain or gzip. Errors name the line. */
  async parseNbest(data: string | Blob, name = 'lists', { signal }: CallOptions = {}): Promise<Utterance[]> {
    return this.#session.call('text.parse', { text: await readText(data), name }, { signal });
  }

  /**
   * Loads an adapter from LoRB or PEFT and activates it. Throws `AdapterError` if it is invalid or belongs to another base.
   */
  async loadAdapter(source: Source, options: LoadAdapterOptions = {}): Promise<AdapterInfo> {
    const { name = DEFAULT_ADAPTER, activate = true, signal } = options;
    const { cache, host, local_files_only, progress_callback } = this.#defaults;
    const inherited = { cache, host, local_files_only, progress_callback };
    const files = await loadAdapterFiles(origin(source, { ...defined(inherited), ...options }));
    const info = await this.#session.readAdapter(name, files, signal);
    this.#infos.set(name, info);
    if (activate) this.#active = name;
    return info;
  }

  /** Activates another loaded adapter. */
  setAdapter(name: string): void {
    if (!this.#infos.has(name)) throw new BadInputError(`no adapter named ${JSON.stringify(name)} is loaded`);
    this.#active = name;
  }

  /** Deactivates the adapter: until `setAdapter`, lists keep the first-pass order. */
  disableAdapters(): void {
    this.#active = null;
  }

  /** The loaded adapters. */
  adapters(): AdapterInfo[] {
    return [...this.#infos.values()];
  }

  async deleteAdapter(name: string): Promise<void> {
    if (!this.#infos.delete(name)) throw new BadInputError(`no adapter named ${JSON.stringify(name)} is loaded`);
    if (this.#active === name) this.#active = null;
    await this.#session.removeAdapter(name);
  }

  /** The two files of a PEFT directory for an adapter, by default the active one. */
  async saveAdapter(name: string | null = this.#active): Promise<AdapterFiles> {
    const bytes = name === null ? undefined : this.#session.adapterBytes(name);
    if (!bytes || !this.#infos.has(name!)) {
      throw new BadInputError(name === null ? 'saveAdapter: no adapter is active' : `no adapter named ${JSON.stringify(name)} is loaded`);
    }
    return {
      'adapter_config.json': new Blob([bytes.config as BlobPart], { type: 'application/json' }),
      'adapter_model.safetensors': new Blob([bytes.weights as BlobPart], { type: 'application/octet-stream' }),
    };
  }

  /** Creates a training run. It starts with `run`. */
  createTrainer(options: TrainOptions = {}): Trainer {
    const name = options.adapter ?? DEFAULT_ADAPTER;
    return new Trainer(this.#session, { ...options, adapter: name }, async () => {
      await this.#store(name);
      this.#active = name;
    });
  }

  /** Copies an adapter that the worker changed, and its metadata. */
  async #store(name: string): Promise<void> {
    await this.#session.mirrorAdapter(name);
    const infos = await this.#session.call('adapter.list', {});
    const info = infos.find((info) => info.name === name);
    if (info) this.#infos.set(name, info);
  }

  async memory(): Promise<Memory> {
    return this.#session.call('model.memory', {});
  }

  /** Frees the model's buffers and ends the worker. GPU devices created by the page are not affected. */
  async dispose(): Promise<void> {
    this.#infos.clear();
    this.#active = null;
    await this.#session.dispose();
  }
}

function choice<T extends string>(what: string, value: T, allowed: readonly T[]): void {
  if (!allowed.includes(value)) throw new BadInputError(`${what} is ${JSON.stringify(value)}; expected one of ${allowed.join(', ')}`);
}

function watch({ signal, onProgress }: CallOptions, lists: List[]) {
  const total = lists.reduce((sum, list) => sum + list.nbest.length, 0);
  return { signal, onDone: onProgress && ((done: number) => onProgress(done, total)) };
}

/** Without undefined keys, which would override other values. */
function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
