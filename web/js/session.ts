/** A base and its adapters in a worker, with everything needed to rebuild them in another. */

import { loadBase, type Origin } from './base.js';
import { Engine, type CallWatch, type WorkerFactory } from './engine.js';
import { BadInputError, DeviceLostError, isLoss, throwIfAborted, WorkerDiedError } from './errors.js';
import type { AdapterBytes, Operation, Params, Result } from './protocol.js';
import type { AdapterInfo, DeviceKind, Dtype } from './types.js';

export interface Opened {
  device: { kind: string; name: string };
  base: Result<'base.finish'>;
}

export class Session {
  #origin: Origin;
  #device: DeviceKind;
  #dtype: Dtype;
  #factory: WorkerFactory | undefined;
  #engine: Engine | undefined;
  #recovering: Promise<void> | undefined;
  #disposed = false;
  /** Every adapter as PEFT's two files, to restore in a new worker. */
  #mirror = new Map<string, AdapterBytes>();
  opened!: Opened;

  constructor(origin: Origin, device: DeviceKind, dtype: Dtype, factory: WorkerFactory | undefined) {
    this.#origin = origin;
    this.#device = device;
    this.#dtype = dtype;
    this.#factory = factory;
  }

  async open(): Promise<void> {
    const { signal } = this.#origin.options;
    throwIfAborted(signal);
    const engine = new Engine(this.#factory);
    try {
      // Open the device first: without one, nothing needs to be downloaded.
      const device = await engine.call('device.open', { kind: this.#device, dtype: this.#dtype }, { signal });
      const base = await loadBase(this.#origin, this.#dtype, engine);
      this.opened = { device, base };
      this.#engine = engine;
    } catch (error) {
      engine.terminate();
      throw error;
    }
  }

  /** Runs an operation on the model. A lost device is replaced once and the operation is repeated. */
  async call<O extends Operation>(op: O, params: Params<O>, watch: CallWatch = {}): Promise<Result<O>> {
    const engine = await this.engine();
    try {
      return await engine.call(op, params, watch);
    } catch (error) {
      if (!isLoss(error)) throw error;
      await this.recover(engine, error);
      return (await this.engine()).call(op, params, watch);
    }
  }

  /** The worker, or its replacement if it died. */
  async engine(): Promise<Engine> {
    if (this.#recovering) await this.#recovering;
    if (this.#disposed) throw new BadInputError('this rescorer was disposed');
    const { dead } = this.#engine!;
    if (dead) await this.recover(this.#engine!, dead);
    return this.#engine!;
  }

  /** Replaces `lost` with a new worker, device, base and adapters. Concurrent calls share the work. */
  async recover(lost: Engine, reason: Error): Promise<void> {
    lost.terminate(reason);
    if (this.#disposed || (this.#engine !== lost && !this.#engine?.dead)) return;
    this.#recovering ??= this.#rebuild(reason).finally(() => (this.#recovering = undefined));
    await this.#recovering;
  }

  async #rebuild(reason: Error): Promise<void> {
    const { folder, emit } = this.#origin;
    emit({ status: 'recover', name: folder.name, reason: reason.message });
    // The signal passed for loading applied only to the first load.
    const { signal: _, ...options } = this.#origin.options;
    let engine: Engine | undefined;
    try {
      engine = new Engine(this.#factory);
      const device = await engine.call('device.open', { kind: this.#device, dtype: this.#dtype });
      const base = await loadBase({ ...this.#origin, options, trusted: true }, this.#dtype, engine);
      if (base.hash !== this.opened.base.hash) throw new Error('the base has changed');
      for (const [name, bytes] of this.#mirror) await engine.call('adapter.read', { name, ...bytes });
      this.opened = { device, base };
      this.#engine = engine;
    } catch (error) {
      engine?.terminate();
      const message = `${reason.message}; the restart failed: ${(error as Error).message}`;
      throw new (reason instanceof DeviceLostError ? DeviceLostError : WorkerDiedError)(message, { cause: error });
    }
    if (this.#disposed) engine.terminate();
  }

  /** Loads an adapter into the worker and into the mirror. */
  async readAdapter(name: string, bytes: AdapterBytes, signal?: AbortSignal): Promise<AdapterInfo> {
    const info = await this.call('adapter.read', { name, ...bytes }, { signal });
    this.#mirror.set(name, bytes);
    return info;
  }

  async initAdapter(name: string, options: object, signal?: AbortSignal): Promise<AdapterInfo> {
    const info = await this.call('adapter.init', { name, options }, { signal });
    await this.mirrorAdapter(name);
    return info;
  }

  /** Copies an adapter that the worker changed. */
  async mirrorAdapter(name: string): Promise<void> {
    this.#mirror.set(name, await (await this.engine()).call('adapter.write', { name }));
  }

  async removeAdapter(name: string): Promise<void> {
    // Remove it here first, so that a concurrent recovery does not restore it; a dead worker needs nothing more.
    this.#mirror.delete(name);
    try {
      if (this.#engine && !this.#engine.dead) await this.#engine.call('adapter.remove', { name });
    } catch (error) {
      if (!isLoss(error)) throw error;
    }
  }

  adapterBytes(name: string): AdapterBytes | undefined {
    return this.#mirror.get(name);
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const engine = this.#engine;
    if (!engine || engine.dead) return;
    try {
      // Destroys buffers now, instead of when the browser collects the worker.
      await engine.call('dispose', {});
    } catch (error) {
      if (!isLoss(error)) throw error;
    } finally {
      engine.terminate(new BadInputError('this rescorer was disposed'));
    }
  }
}
