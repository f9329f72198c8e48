// Compares the worker's type declarations with those of wasm-bindgen. Compiling this file is the test.

import type * as Built from '../dist/wasm/lorb.js';
import type * as BuiltTokenizers from '../dist/wasm/lorb_tokenizer.js';
import type * as Believed from '../js/wasm/lorb.js';
import type * as BelievedTokenizers from '../js/wasm/lorb_tokenizer.js';

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

export function tokenizers(built: typeof BuiltTokenizers, tokenizer: BuiltTokenizers.Tokenizer): unknown[] {
  const believed: BelievedTokenizers.Tokenizer = tokenizer;
  const construct: new (...options: ConstructorParameters<typeof BelievedTokenizers.Tokenizer>) => BelievedTokenizers.Tokenizer = built.Tokenizer;
  const init: () => Promise<unknown> = built.default;
  return [believed, construct, init];
}
