/** A training run as an iterator over its messages. */

import type { Engine } from './engine.js';
import { BadInputError, DeviceLostError, isLoss, throwIfAborted } from './errors.js';
import { toLists } from './lists.js';
import type { Advanced, List } from './protocol.js';
import { checkOptions } from './options.js';
import { METHOD_OPTIONS } from './registry.js';
import type { Session } from './session.js';
import type { AdapterInfo, RunOptions, TrainMessage, TrainOptions, TrainerState, Utterance } from './types.js';

let runs = 0;

/** Created by `rescorer.createTrainer`. */
export class Trainer {
  #session: Session;
  #options: TrainOptions & { adapter: string };
  #store: (info: AdapterInfo) => Promise<void>;
  #state: TrainerState = 'new';
  /** Resolved by `resume`, while paused. */
  #pause: { over: Promise<void>; end: () => void } | undefined;
  /** The run in the current worker. */
  #run: { engine: Engine; id: number } | undefined;
  #mirror: Uint8Array | undefined;
  #step = 0;
  #steps = 0;
  #recovered = false;

  /** @internal */
  constructor(session: Session, options: TrainOptions & { adapter: string }, store: (info: AdapterInfo) => Promise<void>) {
    this.#session = session;
    this.#options = options;
    this.#store = store;
  }

  get state(): TrainerState {
    return this.#state;
  }

  /** Steps done. */
  get step(): number {
    return this.#step;
  }

  /** Steps of the whole run; 0 before it starts. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Trains, one message at a time: the next step starts when the next message is requested. When
   * the run ends or is stopped, its best adapter is stored and activated under `options.adapter`.
   * Leaving the loop early ends the run and stores nothing.
   */
  async *run(train: readonly Utterance[], dev: readonly Utterance[] = [], options: RunOptions = {}): AsyncGenerator<TrainMessage, void, undefined> {
    if (this.#state !== 'new') throw new BadInputError('a trainer runs only once; create another');
    checkOptions('run', options);
    const { signal, checkpoint } = options;
    throwIfAborted(signal);
    const lists = { train: toLists(train, 'train'), dev: toLists(dev, 'dev') };
    this.#state = 'running';
    this.#mirror = checkpoint;
    // Not in the rescorer's list: the adapter that the run starts from, also after a recovery.
    const start = ` run ${++runs}`;
    try {
      await this.#begin(start, signal);
      await this.#start(start, lists, signal);
      yield* this.#messages(start, lists, signal);
    } catch (error) {
      this.#state = signal?.aborted ? 'stopped' : 'failed';
      if (!isLoss(error)) throw error;
      const lost = error instanceof DeviceLostError ? error : new DeviceLostError(error.message, { cause: error });
      if (this.#mirror) lost.checkpoint = this.#mirror;
      throw lost;
    } finally {
      // The caller left the loop early.
      if (['running', 'paused'].includes(this.#state)) this.#state = 'stopped';
      this.#end(start);
    }
  }

  async *#messages(start: string, lists: Lists, signal: AbortSignal | undefined): AsyncGenerator<TrainMessage, void, undefined> {
    const warned = new Set<string>();
    for (;;) {
      await this.#unpaused(signal);
      throwIfAborted(signal);
      if (this.#state === 'stopped') {
        await this.#keepBest(signal);
        yield { type: 'stopped', step: this.#step, steps: this.#steps };
        return;
      }
      let advanced: Advanced;
      try {
        const { engine, id } = this.#run!;
        advanced = await engine.call('train.next', { run: id }, { signal });
      } catch (error) {
        if (!isLoss(error)) throw error;
        yield await this.#recover(error, start, lists, signal);
        continue;
      }
      const { message, step, steps, kept } = advanced;
      this.#step = step;
      this.#steps = steps;
      if (kept) this.#mirror = kept;
      if (!message) return;
      // A recovered run repeats the start message and its warnings.
      if (message.type === 'started' && this.#recovered) continue;
      if (message.type === 'warning') {
        if (warned.has(message.kind)) continue;
        warned.add(message.kind);
      }
      if (message.type === 'finished') {
        await this.#keepBest(signal);
        this.#state = 'finished';
        yield message;
        return;
      }
      yield message;
    }
  }

  /** Pauses the run after the current step. */
  pause(): void {
    if (this.#state !== 'running') return;
    this.#state = 'paused';
    let end = () => {};
    const over = new Promise<void>((resolve) => (end = resolve));
    this.#pause = { over, end };
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    this.#unpause();
  }

  /** Ends the run after the current step and keeps its best adapter. The last message is `stopped`. */
  stop(): void {
    if (this.#state !== 'running' && this.#state !== 'paused') return;
    this.#state = 'stopped';
    this.#unpause();
  }

  /**
   * The current state of the run, to continue in another session: `run(train, dev, {checkpoint})`
   * with the same data and settings.
   */
  async checkpoint(): Promise<Uint8Array> {
    try {
      if (this.#run) return await this.#run.engine.call('train.checkpoint', { run: this.#run.id });
    } catch (error) {
      // The device is lost, and the run will recover from it. The mirror is equivalent, but some steps older.
      if (!isLoss(error) || !this.#mirror) throw error;
    }
    if (this.#mirror) return this.#mirror;
    throw new BadInputError('checkpoint: no run has started');
  }

  #unpause(): void {
    this.#pause?.end();
    this.#pause = undefined;
  }

  async #unpaused(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#pause) return;
    const abort = () => this.#unpause();
    signal?.addEventListener('abort', abort, { once: true });
    await this.#pause.over;
    signal?.removeEventListener('abort', abort);
  }

  /** The adapter that the run starts from, under a private name. */
  async #begin(start: string, signal: AbortSignal | undefined): Promise<void> {
    const { from, seed } = this.#options;
    if (from === undefined) {
      await this.#session.initAdapter(start, { ...pick(this.#options, METHOD_OPTIONS), seed }, signal);
      return;
    }
    const given = METHOD_OPTIONS.find((key) => this.#options[key] !== undefined);
    if (given) throw new BadInputError(`${given} cannot be changed when continuing from an adapter; omit it, or omit \`from\``);
    const bytes = this.#session.adapterBytes(from);
    if (!bytes) throw new BadInputError(`no adapter named ${JSON.stringify(from)} is loaded`);
    await this.#session.readAdapter(start, bytes, signal);
  }

  async #start(start: string, lists: Lists, signal: AbortSignal | undefined): Promise<void> {
    const { adapter: _, from: __, ...rest } = this.#options;
    const options = Object.fromEntries(Object.entries(rest).filter(([key]) => !(METHOD_OPTIONS as readonly string[]).includes(key)));
    const engine = await this.#session.engine();
    const begun = await engine.call('train.start', { adapter: start, options, ...lists, checkpoint: this.#mirror }, { signal });
    this.#run = { engine, id: begun.run };
    this.#step = begun.step;
    this.#steps = begun.steps;
  }

  async #recover(error: Error, start: string, lists: Lists, signal: AbortSignal | undefined): Promise<TrainMessage> {
    const reached = this.#step;
    const { engine } = this.#run!;
    this.#run = undefined;
    engine.terminate(error);
    if (this.#recovered) throw new DeviceLostError(`the device was lost a second time: ${error.message}`, { cause: error });
    this.#recovered = true;
    await this.#start(start, lists, signal);
    return { type: 'recovered', step: this.#step, steps_lost: reached - this.#step, reason: error.message };
  }

  async #keepBest(signal: AbortSignal | undefined): Promise<void> {
    const { engine, id } = this.#run!;
    await this.#store(await engine.call('train.best', { run: id, name: this.#options.adapter }, { signal }));
  }

  /**
   * Frees the run. Nothing waits for this: an aborted step may still be running, and a dead worker
   * has freed everything.
   */
  #end(start: string): void {
    const ended = this.#run?.engine.call('train.end', { run: this.#run.id });
    const removed = this.#session.removeAdapter(start);
    this.#run = undefined;
    this.#unpause();
    void Promise.allSettled([ended, removed]);
  }
}

type Lists = { train: List[]; dev: List[] };

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(keys.filter((key) => from[key] !== undefined).map((key) => [key, from[key]])) as Partial<Pick<T, K>>;
}
