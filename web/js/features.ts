/** Checks for what the package needs from the browser, before anything is downloaded. */

import { MissingFeatureError } from './errors.js';

/** A module that is valid only with SIMD, bulk memory and reference types: a table of externref, `memory.fill`, `i8x16.splat`. */
const MODULE = [
  [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 4, 4, 1, 111, 0, 0, 5, 3, 1, 0, 1],
  [10, 17, 1, 15, 0, 65, 0, 65, 0, 65, 0, 252, 11, 0, 65, 0, 253, 15, 11],
].flat();

const UPDATE = 'update the browser';
const NAMES = ['fetch', 'Response', 'ReadableStream', 'AbortController', 'Blob', 'TextDecoder'];

/** Throws a `MissingFeatureError` for the first feature that is missing. `worker`: whether the page starts the worker itself. */
export function checkFeatures(worker: boolean): void {
  for (const name of NAMES) if (!(name in globalThis)) throw missing(name, UPDATE);
  if (!('body' in Response.prototype)) throw missing('streams of responses', UPDATE);
  if (!('WebAssembly' in globalThis)) throw missing('WebAssembly', `${UPDATE}, or turn off the mode that disables WebAssembly`);
  if (!WebAssembly.validate(new Uint8Array(MODULE))) throw missing('SIMD, bulk memory or reference types in WebAssembly', UPDATE);
  if (!worker && !('Worker' in globalThis)) throw missing('Worker', 'pass the option `worker`, a function that starts one');
}

export function missing(feature: string, remedy: string, cause?: unknown): MissingFeatureError {
  return new MissingFeatureError(`${feature} is missing here: ${remedy}`, { cause });
}
