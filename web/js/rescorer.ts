/** The page's side of a model. All heavy work happens in a worker, controlled by messages. */

import { clearStored, isStored, loadAdapterFiles, origin, storedFiles, storedWeights } from './base.js';
import { BadInputError, throwIfAborted } from './errors.js';
import { toList, toLists, toWholeList } from './lists.js';
import { type ListData, type ListOptions, readLists } from './parse.js';
import type { List } from './protocol.js';
import { checkFeatures } from './features.js';
import { checkOptions, checkTraining } from './options.js';
import { Session } from './session.js';
import { Trainer } from './trainer.js';
import type {
  AdapterFiles,
  AdapterInfo,
  AdapterCallOptions,
  CallOptions,
  DeviceKind,
  Dtype,
  EvaluateOptions,
  LoadAdapterOptions,
  LoadOptions,
  Memory,
  NBest,
  Ranked,
  Report,
  RescoreOptions,
  RescorerOptions,
  Source,
  Stored,
  StoredFile,
  TextCallOptions,
  TrainOptions,
  TuneOptions,
  Tuned,
  Utterance,
} from './types.js';

const DEVICES: readonly DeviceKind[] = ['webgpu', 'wasm'];
const DTYPES: readonly Dtype[] = ['fp32', 'fp16', 'int8', 'mixed'];
const DEFAULT_ADAPTER = 'default';

/** A base with adapters, which re-ranks N-best lists and trains on corrected ones. */
export class Rescorer {
  /** Hub id or folder of the base. */
  readonly name: string;
  #session: Session;
  #defaults: RescorerOptions;
  #active: string | null = null;
  #batchTokens = 0;
  #infos = new Map<string, AdapterInfo>();

  private constructor(name: string, session: Session, defaults: RescorerOptions) {
    this.name = name;
    this.#session = session;
    this.#defaults = defaults;
  }

  /**
   * Loads a base, from the cache if it was loaded before, and starts the device.
   *
   * Throws `MissingFeatureError`, `WebGPUNotAvailableError`, `DeviceRefusedError`, `UnsupportedModelError`, `SourceError`, `IntegrityError`,
   * and the errors of `loadAdapter`.
   */
  static async fromPretrained(source: Source, options: RescorerOptions = {}): Promise<Rescorer> {
    options = checkOptions('fromPretrained', options);
    const { device = 'webgpu', dtype = 'fp32', adapter, worker, signal } = options;
    choice('device', device, DEVICES);
    choice('dtype', dtype, DTYPES);
    throwIfAborted(signal);
    const from = origin(source, options);
    checkFeatures(worker !== undefined);
    const session = new Session(from, device, dtype, worker);
    await session.open();
    const rescorer = new Rescorer(from.folder.name, session, options);
    try {
      if (adapter !== undefined) await rescorer.loadAdapter(adapter, signal ? { signal } : {});
      // Compiles and checks the GPU's kernels now, for the first adapter, and measures the device's speed.
      rescorer.#batchTokens = await session.call('model.warm-up', { adapter: rescorer.activeAdapter ?? undefined }, { signal });
    } catch (error) {
      await rescorer.dispose();
      throw error;
    }
    from.emit({ status: 'ready', name: rescorer.name });
    return rescorer;
  }

  /**
   * How much of a base's weights this browser has stored, for `fromPretrained` with the same
   * options. Sends no request.
   */
  static async stored(source: Source, options: LoadOptions = {}): Promise<Stored> {
    return storedWeights(source, checkOptions('stored', options));
  }

  /** The stored files of a base or an adapter, whole or in part. Sends no request. */
  static async files(source: Source, options: LoadOptions = {}): Promise<StoredFile[]> {
    return storedFiles(source, checkOptions('stored', options));
  }

  /** Whether everything that a base or an adapter needs is stored, so that it loads offline. Sends no request. */
  static async isCached(source: Source, options: LoadOptions = {}): Promise<boolean> {
    return isStored(source, checkOptions('stored', options));
  }

  /** Deletes the stored files of a base or an adapter. A loaded one stays usable. */
  static async clearCache(source: Source, options: LoadOptions = {}): Promise<void> {
    return clearStored(source, checkOptions('stored', options));
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

  /** Tokens per batch where a call names none: a batch then takes about 0.3 s on this device, at most 2048. */
  get batchTokens(): number {
    return this.#batchTokens;
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
    checkOptions('rescore', options);
    const { weights, batchTokens = this.#batchTokens } = options;
    return this.#session.call('model.rescore', { adapter: this.#adapterOf(options), lists, weights, batchTokens, conventions: conventionsOf(options) }, watch(options, lists));
  }

  /**
   * Returns the lists as `lorb rescore` writes them: best hypothesis first, with `lm` and `total`.
   * All other keys are kept; the recogniser's own `lm` becomes `first_lm`.
   */
  async rerank(lists: readonly NBest[], options: RescoreOptions = {}): Promise<Utterance[]> {
    checkOptions('rerank', options);
    const { weights, batchTokens = this.#batchTokens } = options;
    const whole = toLists(lists, 'rerank', toWholeList);
    return this.#session.call('model.rerank', { adapter: this.#adapterOf(options), lists: whole, weights, batchTokens, conventions: conventionsOf(options) }, watch(options, whole));
  }

  /** The adapter's score for each text, normalised as in its training. */
  async score(lists: readonly (readonly string[])[], options: TextCallOptions = {}): Promise<number[][]> {
    checkOptions('score', options);
    const adapter = this.#someAdapter('score', options);
    const given = toLists(lists, 'score');
    const { batchTokens = this.#batchTokens } = options;
    const scores = await this.#session.call('model.score', { adapter, lists: given, batchTokens, conventions: conventionsOf(options) }, watch(options, given));
    return scores.map((list) => Array.from(list));
  }

  /** The adapter that a call uses: the one it names, else the active one. `null` means the first pass. */
  #adapterOf({ adapter = this.#active }: AdapterCallOptions): string | null {
    if (adapter !== null && !this.#infos.has(adapter)) throw new BadInputError(`no adapter named ${JSON.stringify(adapter)} is loaded`);
    return adapter;
  }

  #someAdapter(what: string, options: AdapterCallOptions): string {
    const adapter = this.#adapterOf(options);
    if (adapter === null) throw new BadInputError(`${what}: no adapter is active; load one or train one`);
    return adapter;
  }

  /** `[CLS]` of the base without adapter for each text: `texts.length` rows of the hidden size, row by row. */
  async encode(texts: readonly string[], options: CallOptions = {}): Promise<Float32Array> {
    checkOptions('encode', options);
    const { batchTokens = this.#batchTokens, signal } = options;
    return this.#session.call('model.encode', { texts: [...texts], batchTokens }, { signal });
  }

  /** The number of tokens of each text, including `[CLS]` and `[SEP]`. */
  async tokenCounts(texts: readonly string[], options: CallOptions = {}): Promise<Uint32Array> {
    const { signal } = checkOptions('tokenCounts', options);
    return this.#session.call('model.tokens', { texts: [...texts] }, { signal });
  }

  /**
   * WER of the first pass, the rescored result and the oracle, with intervals. Lists without `ref`
   * are counted separately.
   */
  async evaluate(utterances: readonly Utterance[], options: EvaluateOptions = {}): Promise<Report> {
    checkOptions('evaluate', options);
    const { weights, batchTokens = this.#batchTokens, seed = 0 } = options;
    const lists = toLists(utterances, 'evaluate');
    return this.#session.call('model.evaluate', { adapter: this.#adapterOf(options), lists, weights, seed, batchTokens, conventions: conventionsOf(options) }, watch(options, lists));
  }

  /** Tunes the weights of the score combination and stores them in the adapter. */
  async tune(utterances: readonly Utterance[], options: TuneOptions = {}): Promise<Tuned> {
    checkOptions('tune', options);
    const adapter = this.#someAdapter('tune', options);
    const { gamma = false, parts = false, batchTokens = this.#batchTokens } = options;
    const lists = toLists(utterances, 'tune');
    const tuned = await this.#session.call('model.tune', { adapter, lists, gamma, parts, batchTokens, conventions: conventionsOf(options) }, watch(options, lists));
    await this.#store(tuned.adapter);
    return tuned;
  }

  /** Reads lists of any format that the native tool reads; an error names file and line. */
  async parseNbest(data: ListData, name = 'lists', options: ListOptions = {}): Promise<Utterance[]> {
    const params = await readLists(data, name, options);
    const { lists, notes } = await this.#session.call('text.parse', params, { signal: options.signal });
    for (const note of notes) options.onNote?.(note);
    return lists;
  }

  /**
   * Loads an adapter from LoRB or PEFT and activates it. Throws `AdapterError` if it is invalid or
   * belongs to another base.
   */
  async loadAdapter(source: Source, options: LoadAdapterOptions = {}): Promise<AdapterInfo> {
    options = checkOptions('loadAdapter', options);
    const { name = DEFAULT_ADAPTER, activate = true, signal } = options;
    const { cache, host, localFilesOnly, refresh, progressCallback } = this.#defaults;
    const inherited = { cache, host, localFilesOnly, refresh, progressCallback };
    const { files, failed } = await loadAdapterFiles(origin(source, { ...defined(inherited), ...options }));
    const info = await this.#session.readAdapter(name, files, signal).catch(async (error: unknown) => {
      await failed(error);
      throw error;
    });
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
    checkTraining(options);
    const name = options.adapter ?? DEFAULT_ADAPTER;
    return new Trainer(this.#session, { ...options, adapter: name }, async (info) => {
      await this.#store(info);
      this.#active = name;
    });
  }

  /** Copies an adapter that the worker changed, and its metadata. */
  async #store(info: AdapterInfo): Promise<void> {
    await this.#session.mirrorAdapter(info.name);
    this.#infos.set(info.name, info);
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

/** The conventions that a call names. */
function conventionsOf({ normalize, unit, join }: TextCallOptions) {
  return defined({ normalize, unit, join });
}

/** Without undefined keys, which would override other values. */
function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
