// What the package's worker expects of a browser, in terms of Node.js; then the worker itself.

import { readFile } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';

globalThis.self = globalThis;
globalThis.postMessage = (message, { transfer = [] } = {}) => parentPort.postMessage(message, transfer);
globalThis.addEventListener = (type, listener) => {
  if (type === 'error') process.on('uncaughtException', (error) => listener({ message: error.message }));
  if (type === 'unhandledrejection') process.on('unhandledRejection', (reason) => listener({ reason }));
};

// The module is next to the package's JavaScript, and Node's fetch reads no files.
const { fetch } = globalThis;
globalThis.fetch = async (resource, options) => {
  const url = new URL(resource instanceof Request ? resource.url : resource);
  if (url.protocol !== 'file:') return fetch(resource, options);
  return new Response(await readFile(url), { headers: { 'content-type': 'application/wasm' } });
};

await import(workerData);
parentPort.on('message', (data) => globalThis.onmessage({ data }));
