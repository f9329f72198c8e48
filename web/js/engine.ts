/**
 * The page's side of one worker: sends requests, receives answers. It is independent of models; a
 * dead one is discarded.
 */

import { BadInputError, fromWire, throwIfAborted, WorkerDiedError } from './errors.js';
import { checkFeatures } from './features.js';
import type { Operation, Params, Reply, Result } from './protocol.js';

export interface CallWatch {
  signal?: AbortSignal | undefined;
  onDone?: ((done: number) => void) | undefined;
  transfer?: Transferable[];
}

interface Pending {
  resolve: (result: never) => void;
  reject: (error: unknown) => void;
  onDone: ((done: number) => void) | undefined;
}

export type WorkerFactory = () => Worker;

export const ownWorker: WorkerFactory = () => {
  try {
    // Bundlers recognise exactly this expression.
    return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'lorb' });
  } catch (error) {
    // Browsers start no worker of another origin, such as a CDN, but one of this origin may import it.
    if ((error as Error).name !== 'SecurityError') throw error;
    const code = `import ${JSON.stringify(import.meta.url.replace(/[^/]*$/, 'worker.js'))}`;
    return new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })), { type: 'module', name: 'lorb' });
  }
};

/** Milliseconds until a new worker has to send its first message. */
const START_WITHIN = 30_000;

const REMEDY = 'serve worker.js and wasm/ of the package with its other files; bundlers that do not emit them need the option `worker`';

export class Engine {
  #worker: Worker;
  #pending = new Map<number, Pending>();
  #lastId = 0;
  #dead: Error | undefined;

  /** Whether the worker sent anything. */
  #started = false;
  #timer: ReturnType<typeof setTimeout>;
  /** Closes with the worker. */
  #port: MessagePort | undefined;

  constructor(factory: WorkerFactory = ownWorker, startWithin = START_WITHIN) {
    checkFeatures(factory !== ownWorker);
    try {
      this.#worker = factory();
      this.#worker.onmessage = (event: MessageEvent<Reply>) => this.#receive(event.data);
    } catch (error) {
      throw new WorkerDiedError(`the worker could not be started (${(error as Error).message}): ${REMEDY}`, { cause: error });
    }
    const late = () => this.terminate(new WorkerDiedError(`the worker does not answer: ${REMEDY}`));
    this.#timer = setTimeout(late, startWithin);
    this.#worker.onerror = (event: ErrorEvent) => {
      const reason = event.message || 'its module could not be loaded';
      this.terminate(new WorkerDiedError(`the worker failed: ${reason}${this.#started ? '' : `; ${REMEDY}`}`));
    };
    this.#worker.onmessageerror = () => this.terminate(new WorkerDiedError('the worker sent an unreadable message'));
  }

  /** Why the worker died; `undefined` while it is alive. */
  get dead(): Error | undefined {
    return this.#dead;
  }

  /** Requests an operation. On abort, the promise is rejected immediately; the worker stops at its next opportunity. */
  call<O extends Operation>(op: O, params: Params<O>, watch: CallWatch = {}): Promise<Result<O>> {
    const { signal, onDone, transfer } = watch;
    return new Promise<Result<O>>((resolve, reject) => {
      throwIfAborted(signal);
      if (this.#dead) throw this.#dead;
      const id = ++this.#lastId;
      const abort = () => {
        this.#pending.delete(id);
        this.#worker.postMessage({ abort: id });
        reject(signal?.reason);
      };
      const settle = <T>(then: (value: T) => void) => (value: T) => {
        signal?.removeEventListener('abort', abort);
        then(value);
      };
      try {
        this.#worker.postMessage({ id, op, params }, { transfer: transfer ?? [] });
      } catch (error) {
        throw new BadInputError(`an argument is not plain data: ${(error as Error).message}`, { cause: error });
      }
      this.#pending.set(id, { resolve: settle(resolve), reject: settle(reject), onDone });
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Ends the worker; pending calls fail with `reason`. */
  terminate(reason: Error = new WorkerDiedError('the worker was terminated')): void {
    if (this.#dead) return;
    this.#dead = reason;
    clearTimeout(this.#timer);
    this.#worker.terminate();
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
  }

  #receive(reply: Reply): void {
    this.#started = true;
    clearTimeout(this.#timer);
    if ('lock' in reply) {
      void this.#watch(reply.lock);
      return;
    }
    if ('fatal' in reply) {
      this.terminate(new WorkerDiedError(`the computation failed: ${reply.fatal}`));
      return;
    }
    const pending = this.#pending.get(reply.id);
    // The caller of an aborted call no longer waits.
    if (!pending) return;
    if ('done' in reply) {
      pending.onDone?.(reply.done);
      return;
    }
    this.#pending.delete(reply.id);
    if ('error' in reply) pending.reject(fromWire(reply.error));
    else pending.resolve(reply.result as never);
  }

  /** No event tells that a worker has ended: it holds a lock, which is free then. Without locks, it holds a port. */
  async #watch(lock: string): Promise<void> {
    const ended = () => this.terminate(new WorkerDiedError('the worker ended'));
    try {
      // A lock that is free already is not shared between this page and its worker.
      if (lock && !(await navigator.locks.request(lock, { ifAvailable: true }, (free) => free !== null))) {
        return void (await navigator.locks.request(lock, ended));
      }
    } catch {
      // This page may not use locks.
    }
    if (this.#dead) return;
    try {
      const { port1, port2 } = new MessageChannel();
      this.#port = port1;
      this.#port.addEventListener('close', ended);
      this.#worker.postMessage({ port: port2 }, { transfer: [port2] });
    } catch {
      // A worker that the page started may not accept ports.
    }
  }
}
