/** The messages between page and worker. */

import type { WireError } from './errors.js';
import type { AdapterInfo, Conventions, DeviceKind, Dtype, Memory, Ranked, Report, TrainMessage, Tuned, Weights } from './types.js';

/** An N-best list in the only form that the wasm module accepts. */
export interface List {
  id: string;
  ref?: string | null;
  nbest: { text: string; score?: number | null; [key: string]: unknown }[];
  [key: string]: unknown;
}

/** A text, or the bytes of a file, plain or gzip. */
export type Contents = string | Uint8Array;

export interface AdapterBytes {
  config: Uint8Array;
  weights: Uint8Array;
}

interface Scoring {
  batchTokens: number | undefined;
}

interface Comparing extends Scoring {
  conventions: Partial<Conventions>;
}

/** A message of a run, and the state to mirror if there is a new one. */
export interface Advanced {
  message: TrainMessage | undefined;
  step: number;
  steps: number;
  kept: Uint8Array | undefined;
}

/** Every operation: parameters and result. */
export interface Operations {
  'device.open': [{ kind: DeviceKind; dtype: Dtype }, { kind: string; name: string }];
  /** `tokenizer` has the files by name. Returns the names of the files that `index` names. */
  'base.begin': [{ config: Uint8Array; tokenizer: Record<string, Uint8Array>; index: Uint8Array | undefined; dtype: Dtype; total: number }, string[]];
  'base.shard': [{ total: number }, void];
  'base.shardHash': [{}, string];
  'base.push': [{ chunk: Uint8Array }, void];
  'base.finish': [{ name: string | undefined }, { hash: string; fileHash: string; parameters: number; dtype: string; shards: number; notes: string[] }];
  'adapter.read': [AdapterBytes & { name: string }, AdapterInfo];
  'adapter.init': [{ name: string; options: object }, AdapterInfo];
  'adapter.write': [{ name: string }, AdapterBytes];
  'adapter.remove': [{ name: string }, boolean];
  'model.warm-up': [{ adapter: string | undefined }, number];
  'model.score': [Comparing & { adapter: string; lists: List[] }, Float64Array[]];
  'model.encode': [Scoring & { texts: string[] }, Float32Array];
  'model.rescore': [Comparing & { adapter: string | null; lists: List[]; weights: Weights | undefined }, Ranked[][]];
  'model.rerank': [Comparing & { adapter: string | null; lists: List[]; weights: Weights | undefined }, List[]];
  'model.evaluate': [Comparing & { adapter: string | null; lists: List[]; weights: Weights | undefined; seed: number }, Report];
  'model.tune': [Comparing & { adapter: string; lists: List[]; gamma: boolean; parts: boolean }, Tuned];
  'model.tokens': [{ texts: string[] }, Uint32Array];
  'model.memory': [{}, Memory];
  'train.start': [{ adapter: string; options: object; train: List[]; dev: List[]; checkpoint: Uint8Array | undefined }, { run: number; step: number; steps: number }];
  'train.next': [{ run: number }, Advanced];
  'train.checkpoint': [{ run: number }, Uint8Array];
  'train.best': [{ run: number; name: string }, AdapterInfo];
  'train.end': [{ run: number }, void];
  'text.parse': [{ files: Contents | [string, Contents][]; name: string; format: string | undefined; references: Contents | undefined; manifest: Contents | undefined; scoreKey: string | undefined; scoreKind: string | undefined; acousticScale: number | undefined }, { lists: List[]; notes: string[] }];
  'file.check': [{}, void];
  'file.write': [{ path: string[]; bytes: Uint8Array }, void];
  dispose: [{}, void];
}

export type Operation = keyof Operations;
export type Params<O extends Operation> = Operations[O][0];
export type Result<O extends Operation> = Operations[O][1];

/** From the page. */
export type Request = { [O in Operation]: { id: number; op: O; params: Params<O> } }[Operation] | { abort: number } | { port: MessagePort };

/** From the worker. `lock` is sent first, the name of a lock that the worker holds; `fatal` once, when the instance can no longer be used. */
export type Reply = { lock: string } | { id: number; result: unknown } | { id: number; error: WireError } | { id: number; done: number } | { fatal: string };
