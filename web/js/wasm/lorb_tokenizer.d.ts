/**
 * The second wasm module as `wasm-bindgen --target web` writes it: tokenizers of other kinds than BERT's own. A test compares
 * it with the generated types.
 */

export default function init(options?: { module_or_path?: string | URL | Request | Response | WebAssembly.Module }): Promise<unknown>;

export class Tokenizer {
  /** `tokenizer` has the files by name. */
  constructor(config: Uint8Array, tokenizer: Record<string, Uint8Array>);
  /** All of this instance's memory, in bytes. */
  readonly memory: number;
  free(): void;
}
