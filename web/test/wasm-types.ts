// Compares the worker's type declarations with those of wasm-bindgen. Compiling this file is the test.

import type * as Built from '../dist/wasm/lorb.js';
import type * as Believed from '../js/wasm/lorb.js';

export function classes(device: Built.GpuDevice, loader: Built.BaseLoader, model: Built.Model, trainer: Built.Trainer): unknown[] {
  const believed: [Believed.GpuDevice, Believed.BaseLoader, Believed.Model, Believed.Trainer] = [device, loader, model, trainer];
  return believed;
}

export function functions(built: typeof Built): unknown[] {
  const open: typeof Believed.GpuDevice.open = built.GpuDevice.open;
  const parse: typeof Believed.parseNbest = built.parseNbest;
  const construct: new (...options: ConstructorParameters<typeof Believed.BaseLoader>) => Believed.BaseLoader = built.BaseLoader;
  const init: () => Promise<unknown> = built.default;
  return [open, parse, construct, init];
}
