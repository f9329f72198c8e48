/** The package's types: data, options, results, messages. Rates are fractions, scores are natural log-probabilities. */

import type { MethodName, MethodOptions, Objective } from './registry.js';
import type { TrainSettings } from './settings.js';

export type { TrainSettings };

/** The device: WebGPU, or the CPU through WebAssembly SIMD. There is no automatic fallback. */
export type DeviceKind = 'webgpu' | 'wasm';

/** Precision of the frozen linear layers of the base. Values other than `fp32` are rounded once, on loading. `mixed` stores `fp16` and also
 * multiplies in it in the forward pass, with sums in `fp32`; it needs a GPU with `shader-f16`. */
export type Dtype = 'fp32' | 'fp16' | 'int8' | 'mixed';

/** One hypothesis of the recogniser. Other keys are kept and ignored. */
export interface Hypothesis {
  text: string;
  /** First-pass log-probability, higher is better; omit it when unknown, do not pass 0. */
  score?: number | null;
  /** With `total`, as rescoring writes both: the score of a teacher, which the objective `md` learns. */
  lm?: number | null;
  [key: string]: unknown;
}

/** One utterance: its N-best list, and its reference if known. One line of a JSON-lines file. */
export interface Utterance {
  /** A name; by default derived from the position in the list. */
  id?: string;
  /** Reference transcript. Lists without one can be rescored, but only the objective `md` can be trained on them. */
  ref?: string | null;
  nbest: readonly (Hypothesis | string)[];
  [key: string]: unknown;
}

/** An alternative of the Web Speech API or of Google's services; a `confidence` that is 0 or absent means that there is none. */
export interface SpeechAlternative {
  readonly transcript: string;
  readonly confidence?: number;
}

/** The shape of a Web Speech `SpeechRecognitionResult`. */
export interface SpeechResult {
  readonly length: number;
  readonly isFinal?: boolean;
  readonly [index: number]: SpeechAlternative;
}

/** A result of Google's speech services. */
export interface GoogleResult {
  readonly id?: string;
  readonly ref?: string | null;
  readonly alternatives: readonly SpeechAlternative[];
}

/** A result of Vosk with `setMaxAlternatives`; `confidence` is the log-likelihood of the path. */
export interface VoskResult {
  readonly id?: string;
  readonly ref?: string | null;
  readonly alternatives: readonly { readonly text: string; readonly confidence?: number }[];
}

/** A text with what sherpa-onnx says about it. Without `score`, the sum of the tokens' log-probabilities is the score. */
export interface Recognised {
  readonly text: string;
  readonly score?: number | null;
  readonly ys_log_probs?: ArrayLike<number>;
}

/** A result of sherpa-onnx; without `hypotheses`, its text is the only one. */
export interface SherpaResult extends Recognised {
  readonly id?: string;
  readonly ref?: string | null;
  readonly hypotheses?: readonly Recognised[];
}

/** The result objects of recognisers. */
export type RecogniserResult = SpeechResult | GoogleResult | VoskResult | SherpaResult;

/** All accepted forms of an N-best list: texts, hypotheses, an utterance, or the result object of a recogniser. */
export type NBest = readonly (Hypothesis | string)[] | Utterance | RecogniserResult;

/** `score = first + sum of parts[p] * part p + beta * lm + gamma * words`. */
export interface Weights {
  beta: number;
  /** Weight per word, 0 by default. */
  gamma?: number;
  /** Weights of the parts of the first-pass score by name (`am`, `lm`, `ctc`, ...), 0 by default. */
  parts?: Record<string, number>;
}

/** A hypothesis after rescoring. Lists of these are ordered best first. */
export interface Ranked {
  text: string;
  /** The total score that orders the list. */
  score: number;
  /** The recogniser's score, `null` if it gave none. */
  first: number | null;
  /** The adapter's score, `null` if no adapter is active; the list then keeps the first-pass order. */
  lm: number | null;
  /** From 1. */
  rank: number;
  /** Position in the input list, from 0. */
  index: number;
  /** Whether the text exceeds the base's position limit, so that only its beginning was scored. */
  truncated: boolean;
}

/** How much of a base's weights is stored. */
export interface Stored {
  bytes: number;
  /** Whether there is nothing left to download. */
  whole: boolean;
}

/** A file of a base or an adapter, and how much of it is stored. */
export interface StoredFile extends Stored {
  file: string;
}

/** Contents of a model file. */
export type FileData = Blob | ArrayBuffer | Uint8Array;

/**
 * The source of a model's files: a hub id (`owner/name`), the URL of a folder (absolute, or
 * relative and starting with `/`, `./` or `../`), files that the user selected, or files by name.
 */
export type Source = string | URL | readonly File[] | FileList | Record<string, FileData>;

/** The interface of a cache; the browser's `Cache` implements it. Keys are URLs. */
export interface CacheLike {
  match(key: string): Promise<Response | undefined>;
  put(key: string, response: Response): Promise<void>;
  delete?(key: string): Promise<boolean>;
}

/** Fields that an event may have; its status says which it has. */
interface EventFields {
  name: string;
  file?: string;
  progress?: number;
  loaded?: number;
  total?: number;
  files?: Record<string, { loaded: number; total: number }>;
  from?: 'cache' | 'network' | 'files';
  verified?: boolean;
  fallback?: 'memory';
  reason?: string;
  message?: string;
}

/** Events while loading, in the shape of transformers.js. */
export type ProgressEvent = EventFields & Statuses;

type Statuses =
  | { status: 'initiate' | 'download'; name: string; file: string }
  | {
      status: 'progress';
      name: string;
      file: string;
      /** 0 to 100. */
      progress: number;
      /** Bytes. */
      loaded: number;
      total: number;
    }
  /** After `progress` of weights: the sums of all files that were begun. */
  | { status: 'progress_total'; name: string; progress: number; loaded: number; total: number; files: Record<string, { loaded: number; total: number }> }
  | {
      status: 'done';
      name: string;
      file: string;
      /** Where the file came from: the cache, the network, or the caller. */
      from: 'cache' | 'network' | 'files';
      /** Whether its SHA-256 was compared with a known one. */
      verified: boolean;
    }
  /** The base is loaded; sent once. */
  | { status: 'ready'; name: string }
  /** The browser does not store the files; they stay in memory until the page closes. */
  | { status: 'cache'; name: string; file: string; fallback: 'memory'; reason: string }
  /** What the user should know about the base, such as settings of its tokenizer that do not count. */
  | { status: 'note'; name: string; message: string }
  /** A connection broke; the download resumes at the last byte. */
  | { status: 'retry'; name: string; file: string; loaded: number; reason: string }
  /** The device was lost; everything is being reloaded. */
  | { status: 'recover'; name: string; reason: string };

export type ProgressCallback = (event: ProgressEvent) => void;

/** Options of downloads. */
export interface LoadOptions {
  /** Branch, tag or commit on the hub, `main` by default. */
  revision?: string;
  /** Another hub with the same paths; `https://huggingface.co` by default. */
  host?: string;
  progressCallback?: ProgressCallback;
  /** @deprecated The name in transformers.js; `progressCallback` is the same. */
  progress_callback?: ProgressCallback;
  signal?: AbortSignal;
  /** `null` disables caching; by default, the browser's Cache API is used. */
  cache?: CacheLike | null;
  /** Downloads all files again, even if they are stored. By default, stored files are used unless the server's have changed. */
  refresh?: boolean;
  /** Use only cached files; a missing file is an error. */
  localFilesOnly?: boolean;
  /** @deprecated The name in transformers.js; `localFilesOnly` is the same. */
  local_files_only?: boolean;
  /** Expected SHA-256, by file name, in hexadecimal digits. */
  sha256?: Record<string, string>;
}

export interface RescorerOptions extends LoadOptions {
  /** `webgpu` by default. */
  device?: DeviceKind;
  /** `fp32` by default. */
  dtype?: Dtype;
  /** An adapter to load and activate. */
  adapter?: Source;
  /**
   * The base name written into adapters tuned here, preferably a hub id. By default the hub id,
   * else the folder's name.
   */
  baseName?: string;
  /** Starts the worker, if the package's own cannot be started (another origin, a bundler). */
  worker?: () => Worker;
}

export interface CallOptions {
  signal?: AbortSignal;
  /** Maximum number of tokens computed at once; by default `rescorer.batchTokens`, which suits the speed of the device. */
  batchTokens?: number;
  /** Completed hypotheses, and their total. */
  onProgress?: (done: number, total: number) => void;
}

export interface AdapterCallOptions extends CallOptions {
  /** Name of the loaded adapter to use; the active one if omitted. `null` means the first pass. */
  adapter?: string | null;
}

/** How texts are changed before they are compared and scored; `lorb train --help` describes each. */
export type Normalize = 'none' | 'lower' | 'basic' | 'whisper';

/** The unit of errors: words, characters, or characters in scripts without spaces and words in others. */
export type Unit = 'word' | 'char' | 'mixed';

/** How texts are compared. An adapter stores the conventions that it was trained and tuned with. */
export interface Conventions {
  normalize: Normalize;
  unit: Unit;
  /** Whether hypotheses that are equal after normalisation share the sum of their first-pass probabilities. */
  join: boolean;
}

/** Calls that compare or score texts. By default, the conventions are those of the adapter. */
export interface TextCallOptions extends AdapterCallOptions, Partial<Conventions> {}

export interface RescoreOptions extends TextCallOptions {
  /** Overrides the weights stored in the adapter. */
  weights?: Weights;
}

export interface EvaluateOptions extends RescoreOptions {
  /** Seed of the bootstrap, 0 by default. */
  seed?: number;
}

export interface TuneOptions extends TextCallOptions {
  /** Whether to tune gamma, the weight per word, too. */
  gamma?: boolean;
  /** Whether to tune a weight for each part of the first-pass scores too; true for an adapter that stores such weights. */
  parts?: boolean;
}

export interface LoadAdapterOptions extends LoadOptions {
  /** `default` by default. Replaces an adapter with the same name. */
  name?: string;
  /** Whether to activate it; true by default. */
  activate?: boolean;
}

export interface AdapterInfo {
  name: string;
  /** The tuning method: `lora`, `dora`, `adalora`, `full`, `bitfit`, `prefix`, `houlsby` or `head`. */
  method: string;
  /** `null` for methods without a rank; the same for `alpha`. */
  rank: number | null;
  alpha: number | null;
  dropout: number;
  rslora: boolean;
  /** Adapted encoder layers, `null` for all. */
  layers: number[] | null;
  /** PEFT's names of the adapted modules; empty for methods without low-rank matrices. */
  targets: string[];
  /** Number of trainable parameters. */
  parameters: number;
  /** `null` until tuned. */
  beta: number | null;
  gamma: number | null;
  /** Weights of the parts of the first-pass score; empty if there are none. */
  parts: Record<string, number> | null;
  /** SHA-256 of the base's weights, `null` if the adapter does not record it. */
  baseHash: string | null;
  baseName: string | null;
  objective: string | null;
  conventions: Conventions;
}

/** The two files of a PEFT directory. */
export type AdapterFiles = {
  'adapter_config.json': Blob;
  'adapter_model.safetensors': Blob;
};

export interface Interval {
  low: number;
  high: number;
}

export interface SystemReport {
  substitutions: number;
  insertions: number;
  deletions: number;
  reference_words: number;
  errors: number;
  wer: number | null;
  /** 95 % bootstrap interval. */
  wer_interval: Interval | null;
  wrong_utterances: number;
}

/** The output of `lorb eval --json`, with the same names. */
export interface Report {
  utterances: number;
  without_reference: number;
  first_pass: SystemReport;
  rescored: SystemReport | null;
  oracle: SystemReport;
  /** `1 - errors rescored / errors of the first pass`. */
  relative_gain: number | null;
  relative_gain_interval: Interval | null;
  matched_pairs: Record<string, unknown> | null;
  seed: number;
  /** How texts were compared. With a unit other than the word, "words" are units. */
  conventions: Conventions;
  /** Signs that references and lists differ in case, punctuation, script or other conventions. */
  warnings: string[];
  /** The weights used, `null` without an adapter. */
  weights: Weights | null;
  /** Index of the chosen hypothesis of each list. */
  choices: number[];
  /** Hypotheses that exceeded the base's maximum length and were truncated. */
  truncated: number;
}

export interface Tuned {
  beta: number;
  gamma: number;
  /** Weights of the parts of the first-pass score; empty if none were tuned. */
  parts: Record<string, number>;
  wer: number | null;
  werFirst: number | null;
  errors: number;
  errorsFirst: number;
  referenceWords: number;
  /** Whether the best beta is at the edge of the search range. */
  atEdge: boolean;
  truncated: number;
  /** How texts were compared; stored in the adapter. */
  conventions: Conventions;
  /** As in `Report`. */
  warnings: string[];
  /** The adapter with these weights. */
  adapter: AdapterInfo;
}

/** Bytes in use: by the wasm instance; by tensors on the GPU, and reserved there. `null` on the CPU. */
export interface Memory {
  wasm: number;
  device: number | null;
  deviceReserved: number | null;
}

export type { MethodName, MethodOptions, Objective };

/** Learning-rate schedules after warm-up. */
export type Decay = 'linear' | 'cosine' | 'constant';

/** Options of a run: the settings of `lorb train`, which `TrainSettings` lists, and those of the method. */
export interface TrainOptions extends MethodOptions, TrainSettings {
  /**
   * Name of the trained adapter in the rescorer, `default` by default. At the end, it replaces an
   * adapter with the same name.
   */
  adapter?: string;
  /** A loaded adapter to start from, with its settings; by default a new one. */
  from?: string;
}

/** The core's messages, as in `lorb train --log-json`, and additional ones of the run. */
export type TrainMessage =
  | {
      type: 'started';
      utterances: number;
      usable: number;
      skipped_no_reference: number;
      skipped_equal_errors: number;
      hypotheses: number;
      truncated: number;
      dev_utterances: number;
      steps: number;
      done: number;
      first_scale: number;
      /** Weights of the parts of the first-pass scores; absent if there are none. */
      part_weights?: Record<string, number>;
      trainable: number;
      base_parameters: number;
    }
  | { type: 'batch'; step: number; batch: number; batches: number }
  | {
      type: 'step';
      step: number;
      steps: number;
      epoch: number;
      loss: number;
      ranking: number;
      correlation: number | null;
      gradient_norm: number;
      lr: number;
      utterances: number;
      hypotheses: number;
      tokens: number;
    }
  | {
      type: 'evaluated';
      step: number;
      wer: number;
      wer_first: number;
      wer_oracle: number;
      beta: number;
      gamma: number;
      best: boolean;
    }
  | { type: 'warning'; kind: string; text: string }
  | { type: 'finished'; steps: number; best_step: number | null; best_wer: number | null; stopped_early: boolean }
  /** The device was lost. The run continues after `step`; `steps_lost` steps are repeated. */
  | { type: 'recovered'; step: number; steps_lost: number; reason: string }
  /** `stop()` was called; this is the last message. */
  | { type: 'stopped'; step: number; steps: number };

export interface RunOptions {
  /** Aborts the run: the iterator throws an `AbortError`, and the adapter is not stored. */
  signal?: AbortSignal;
  /** Continues from `trainer.checkpoint()` of the same data and settings. */
  checkpoint?: Uint8Array;
}

export type TrainerState = 'new' | 'running' | 'paused' | 'stopped' | 'finished' | 'failed';

/** One word of an alignment. */
export interface AlignedWord {
  op: 'equal' | 'substitute' | 'insert' | 'delete';
  ref?: string;
  hyp?: string;
}
