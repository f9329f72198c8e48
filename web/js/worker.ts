/** The dedicated worker in which all heavy work runs. */

import init, * as wasm from './wasm/lorb.js';
import { Host } from './host.js';
import type { Request } from './protocol.js';

const host = new Host({ postMessage: (message, transfer) => self.postMessage(message, { transfer: transfer ?? [] }) }, async () => {
  await init();
  return wasm;
});

self.onmessage = (event: MessageEvent<Request>) => host.receive(event.data);

// A trap within a promise of the wasm module leaves that promise pending forever; it is visible only here.
self.addEventListener('error', (event) => host.fail(event.message));
self.addEventListener('unhandledrejection', (event) => host.fail(String((event.reason as Error)?.message ?? event.reason)));
