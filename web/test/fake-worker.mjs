// A worker in the same thread: messages are cloned and arrive later, as between threads.

import { Host } from '../dist/host.js';

export function workerFactory(wasm, log = []) {
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
    );
    return worker;
  };
}
