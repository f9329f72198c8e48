/**
 * The wasm module as `wasm-bindgen --target web` writes it, limited to what the worker uses. A test
 * compares it with the generated types.
 */

import type { AdapterInfo, Conventions, Memory, Ranked, Report, TrainMessage, Tuned, Weights } from '../types.js';
import type { Contents, List } from '../protocol.js';
import type { Tokenizer } from './lorb_tokenizer.js';

export default function init(options?: { module_or_path?: string | URL | Request | Response | WebAssembly.Module }): Promise<unknown>;

export class GpuDevice {
  private constructor();
  static open(kind: string): Promise<GpuDevice>;
  readonly kind: string;
  readonly name: string;
  checkDtype(dtype: string): void;
  free(): void;
}

export class BaseLoader {
  constructor(
    config: Uint8Array,
    tokenizer: Record<string, Uint8Array>,
    other: Tokenizer | null | undefined,
    index: Uint8Array | null | undefined,
    dtype: string,
    totalBytes: number,
  );
  shards(): string[];
  beginShard(totalBytes: number): void;
  /** SHA-256 of the bytes so far, of the current file if there are several. */
  readonly fileHash: string;
  push(chunk: Uint8Array): void;
  finish(device: GpuDevice): Promise<Model>;
  free(): void;
}

type Done = (done: number) => void;
type IsAborted = () => boolean;

export class Model {
  private constructor();
  /**
   * The SHA-256 that identifies the base in adapters; for a base exported by LoRB in lower
   * precision, that of the original.
   */
  readonly hash: string;
  /** SHA-256 of the file that was loaded. */
  readonly fileHash: string;
  /** What the user should know about the files. */
  readonly notes: string[];
  name: string | undefined;
  readonly parameters: number;
  readonly dtype: string;
  warmUp(adapter: string | undefined): Promise<number>;
  tokenCounts(texts: string[]): Uint32Array;
  readAdapter(name: string, config: Uint8Array, weights: Uint8Array): AdapterInfo;
  initAdapter(name: string, options: object): AdapterInfo;
  removeAdapter(name: string): boolean;
  writeAdapter(name: string): { config: Uint8Array; weights: Uint8Array };
  score(adapter: string, lists: List[], batchTokens: number | undefined, done: Done, isAborted: IsAborted, conventions: Partial<Conventions>): Promise<Float64Array[]>;
  cls(texts: string[], batchTokens: number | undefined, done: Done, isAborted: IsAborted): Promise<Float32Array>;
  rescore(adapter: string | null, lists: List[], weights: Weights | undefined, batchTokens: number | undefined, done: Done, isAborted: IsAborted, conventions: Partial<Conventions>): Promise<Ranked[][]>;
  rerank(adapter: string | null, lists: List[], weights: Weights | undefined, batchTokens: number | undefined, done: Done, isAborted: IsAborted, conventions: Partial<Conventions>): Promise<List[]>;
  evaluate(adapter: string | null, lists: List[], weights: Weights | undefined, batchTokens: number | undefined, seed: number, done: Done, isAborted: IsAborted, conventions: Partial<Conventions>): Promise<Report>;
  tune(adapter: string, lists: List[], gamma: boolean, batchTokens: number | undefined, done: Done, isAborted: IsAborted, conventions: Partial<Conventions>, parts: boolean): Promise<Tuned>;
  createTrainer(adapter: string, options: object, train: List[], dev: List[], checkpoint?: Uint8Array): Trainer;
  memory(): Memory;
  free(): void;
}

export class Trainer {
  private constructor();
  next(): Promise<TrainMessage | undefined>;
  checkpoint(): Promise<Uint8Array>;
  kept(): Uint8Array;
  keptStep(): number;
  readonly step: number;
  readonly steps: number;
  best(name: string): Promise<AdapterInfo>;
  free(): void;
}

export function parseNbest(files: Contents | [string, Contents][], name: string, format: string | undefined, references: Contents | undefined, manifest: Contents | undefined, scoreKey: string | undefined, scoreKind: string | undefined, acousticScale: number | undefined): { lists: List[]; notes: string[] };
