/** The dedicated worker in which all heavy work runs. */

import init, * as wasm from './wasm/lorb.js';
import { WorkerDiedError } from './errors.js';
import { Host } from './host.js';
import type { Request } from './protocol.js';

/** Starts a wasm module. `file` is its file, for the message. */
async function started<M>(file: string, start: () => Promise<M>): Promise<M> {
  try {
    return await start();
  } catch (error) {
    const remedy = `serve wasm/${file} with worker.js, and allow 'wasm-unsafe-eval' in the Content-Security-Policy`;
    throw new WorkerDiedError(`the WebAssembly module could not be loaded (${(error as Error).message}): ${remedy}`);
  }
}

const host = new Host(
  { postMessage: (message, transfer) => self.postMessage(message, { transfer: transfer ?? [] }) },
  () => started('lorb_bg.wasm', async () => (await init(), wasm)),
  // Most bases do not need it, so nothing of it is loaded before.
  () =>
    started('lorb_tokenizer.js and wasm/lorb_tokenizer_bg.wasm', async () => {
      const tokenizers = await import('./wasm/lorb_tokenizer.js');
      await tokenizers.default();
      return tokenizers;
    }),
);

self.onmessage = (event: MessageEvent<Request>) => host.receive(event.data);

// A trap within a promise of the wasm module leaves that promise pending forever; it is visible only here.
self.addEventListener('error', (event) => host.fail(event.message));
self.addEventListener('unhandledrejection', (event) => host.fail(String((event.reason as Error)?.message ?? event.reason)));

const lock = `lorb ${Date.now()} ${Math.random()}`;
const hold = () => {
  host.started(lock);
  // Until the worker ends.
  return new Promise<never>(() => {});
};
const locks = globalThis.navigator?.locks;
if (locks) locks.request(lock, hold).catch(() => host.started(''));
else host.started('');
