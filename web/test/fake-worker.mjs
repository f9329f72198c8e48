// A worker in the same thread: messages are cloned and arrive later, as between threads.

import assert from 'node:assert/strict';

import { Host } from '../dist/host.js';

/** `tokenizers` is the second module. */
export function workerFactory(wasm, log = [], tokenizers = undefined) {
  return () => {
    let alive = true;
    const worker = {
      postMessage(message, { transfer } = {}) {
        const copy = structuredClone(message, { transfer });
        log.push(copy);
        setTimeout(() => alive && host.receive(copy));
      },
      terminate() {
        alive = false;
        log.push('terminated');
      },
    };
    const host = new Host(
      {
        postMessage(message, transfer) {
          const copy = structuredClone(message, { transfer });
          setTimeout(() => alive && worker.onmessage({ data: copy }));
        },
      },
      async () => wasm,
      async () => tokenizers ?? assert.fail('a base of this test needs no other tokenizers'),
    );
    return worker;
  };
}
