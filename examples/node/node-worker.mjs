// A worker thread of Node.js with the interface of a browser's worker: for the option `worker` of the package.

import { Worker } from 'node:worker_threads';

/** Starts the package's worker. */
export function nodeWorker() {
  const thread = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: import.meta.resolve('lorb/worker') });
  const worker = {
    onmessage: null,
    onerror: null,
    onmessageerror: null,
    postMessage: (message, { transfer = [] } = {}) => thread.postMessage(message, transfer),
    terminate: () => void thread.terminate(),
  };
  thread.on('message', (data) => worker.onmessage?.({ data }));
  thread.on('messageerror', () => worker.onmessageerror?.());
  thread.on('error', ({ message }) => worker.onerror?.({ message }));
  return worker;
}
