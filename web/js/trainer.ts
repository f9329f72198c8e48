/** A training run, as an iterator of its messages. */

import type { Engine } from './engine.js';
import { BadInputError, DeviceLostError, isLoss, throwIfAborted } from './errors.js';
import { toLists } from './lists.js';
import type { Advanced, List } from './protocol.js';
import type { Session } from './session.js';
import type { LoraOptions, RunOptions, TrainMessage, TrainOptions, TrainerState, Utterance } from './types.js';

const LORA: readonly (keyof LoraOptions)[] = ['r', 'alpha', 'dropout', 'targetModules', 'rslora', 'layers'];

let runs = 0;

/** Made by `rescorer.createTrainer`. */
export class Trainer {
  #session: Session;
  #options: TrainOptions & { adapter: string };
  #store: () => Promise<void>;
  #state: TrainerState = 'new';
  /** Resolved by `resume`, while paused. */
  #pause: { over: Promise<void>; end: () => void } | undefined;
  /** The run in the worker that it lives in. */
  #run: { engine: Engine; id: number } | undefined;
  #mirror: Uint8Array | undefined;
  #step = 0;
  #steps = 0;
  #recovered = false;

  /** @internal */
  constructor(session: Session, options: TrainOptions & { adapter: string }, store: () => Promise<void>) {
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
   * Trains, one message at a time: the next step is begun when the next message is asked for. When the run is over, or stopped, its
   * best adapter is stored under `options.adapter` and active. Leaving the loop early ends the run and stores nothing.
   */
  async *run(train: readonly Utterance[], dev: readonly Utterance[] = [], options: RunOptions = {}): AsyncGenerator<TrainMessage, void, undefined> {
    if (this.#state !== 'new') throw new BadInputError('a trainer runs once; create another');
    const { signal, checkpoint } = options;
    throwIfAborted(signal);
    const lists = { train: toLists(train, 'train'), dev: toLists(dev, 'dev') };
    this.#state = 'running';
    this.#mirror = checkpoint;
    // Hidden from the rescorer's list: where the run starts from, for a recovery too.
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
      // Left early.
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
      // A recovered run starts and warns a second time.
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

  /** Holds the run after the step under way. */
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

  /** Ends the run after the step under way, and keeps its best adapter; the last message is `stopped`. */
  stop(): void {
    if (this.#state !== 'running' && this.#state !== 'paused') return;
    this.#state = 'stopped';
    this.#unpause();
  }

  /** The run as it stands, to go on from in another session: `run(train, dev, {checkpoint})` with the same data and settings. */
  async checkpoint(): Promise<Uint8Array> {
    try {
      if (this.#run) return await this.#run.engine.call('train.checkpoint', { run: this.#run.id });
    } catch (error) {
      // The device is gone, which the run itself gets over; the mirror is as good, if some steps older.
      if (!isLoss(error) || !this.#mirror) throw error;
    }
    if (this.#mirror) return this.#mirror;
    throw new BadInputError('checkpoint: there is no run');
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

  /** The adapter that the run starts from, by a name of its own. */
  async #begin(start: string, signal: AbortSignal | undefined): Promise<void> {
    const { from, seed } = this.#options;
    if (from === undefined) {
      await this.#session.initAdapter(start, { ...pick(this.#options, LORA), seed }, signal);
      return;
    }
    const given = LORA.find((key) => this.#options[key] !== undefined);
    if (given) throw new BadInputError(`${given} cannot be changed in an adapter to go on from; leave it out, or leave out \`from\``);
    const bytes = this.#session.adapterBytes(from);
    if (!bytes) throw new BadInputError(`no adapter named ${JSON.stringify(from)} is loaded`);
    await this.#session.readAdapter(start, bytes, signal);
  }

  async #start(start: string, lists: Lists, signal: AbortSignal | undefined): Promise<void> {
    const { adapter: _, from: __, ...rest } = this.#options;
    const options = Object.fromEntries(Object.entries(rest).filter(([key]) => !(LORA as string[]).includes(key)));
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
    await engine.call('train.best', { run: id, name: this.#options.adapter }, { signal });
    await this.#store();
  }

  /** Frees the run. Nobody waits: a step that was aborted is still under way, and a dead worker has freed all of it. */
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
