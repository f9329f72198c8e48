/** The package's own types: data, options, results, messages. Rates are fractions, scores are natural log-probabilities. */

/** Where to compute: WebGPU, or the CPU through WebAssembly SIMD. Neither stands in for the other unasked. */
export type DeviceKind = 'webgpu' | 'wasm';

/** How the frozen linear layers of the base are kept. Anything but `fp32` is rounded once, on loading. */
export type Dtype = 'fp32' | 'fp16' | 'int8';

/** One guess of the recogniser. Other keys are kept, and ignored. */
export interface Hypothesis {
  text: string;
  /** First-pass log-probability, higher is better; leave it out where unknown: that is not 0. */
  score?: number | null;
  [key: string]: unknown;
}

/** Something said: what was said, where known, and what the recogniser heard. One line of a JSON-lines file. */
export interface Utterance {
  /** A name; made up from the place in the list where it is left out. */
  id?: string;
  /** What was said. Lists without it can be rescored, not learned from. */
  ref?: string | null;
  nbest: readonly (Hypothesis | string)[];
  [key: string]: unknown;
}

/** What the Web Speech API calls an alternative; `confidence` 0 means that there is none. */
export interface SpeechAlternative {
  readonly transcript: string;
  readonly confidence: number;
}

/** The shape of a Web Speech `SpeechRecognitionResult`. */
export interface SpeechResult {
  readonly length: number;
  readonly isFinal?: boolean;
  readonly [index: number]: SpeechAlternative;
}

/** Anything that is an N-best list: texts, hypotheses, an utterance, or a result of the Web Speech API. */
export type NBest = readonly (Hypothesis | string)[] | Utterance | SpeechResult;

/** `score = first + beta * lm + gamma * words`. */
export interface Weights {
  beta: number;
  /** Per word, 0 where left out. */
  gamma?: number;
}

/** A hypothesis after rescoring; a list of these comes best first. */
export interface Ranked {
  text: string;
  /** What the list is ordered by. */
  score: number;
  /** The recogniser's score, `null` where it gave none. */
  first: number | null;
  /** The adapter's score, `null` where no adapter is active: the order is then the first pass's. */
  lm: number | null;
  /** From 1. */
  rank: number;
  /** Place in the list that was given, from 0. */
  index: number;
}

/** A file of a model as the page has it. */
export type FileData = Blob | ArrayBuffer | Uint8Array;

/**
 * Where files come from: a hub id (`owner/name`), the URL of a folder (absolute, or relative and beginning with `/`, `./` or
 * `../`), files that the user picked, or files by name.
 */
export type Source = string | URL | readonly File[] | FileList | Record<string, FileData>;

/** What a cache has to offer; the browser's `Cache` does. Keys are URLs. */
export interface CacheLike {
  match(key: string): Promise<Response | undefined>;
  put(key: string, response: Response): Promise<void>;
  delete?(key: string): Promise<boolean>;
}

/** What is told while something is loaded, in transformers.js's shape. */
export type ProgressEvent =
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
  | {
      status: 'done';
      name: string;
      file: string;
      /** Whether the file came from the cache, from the network, or was given. */
      from: 'cache' | 'network' | 'files';
      /** Whether its SHA-256 was compared with one known beforehand. */
      verified: boolean;
    }
  /** The base is loaded; told once. */
  | { status: 'ready'; name: string }
  /** The browser refuses to keep the files: they are held in memory for this page's life alone. */
  | { status: 'cache'; name: string; file: string; fallback: 'memory'; reason: string }
  /** A connection broke and the download goes on from the byte it had reached. */
  | { status: 'retry'; name: string; file: string; loaded: number; reason: string }
  /** The device was lost, and everything is being loaded again. */
  | { status: 'recover'; name: string; reason: string };

export type ProgressCallback = (event: ProgressEvent) => void;

/** What downloads can be told. */
export interface LoadOptions {
  /** Branch, tag or commit on the hub, `main` where left out. */
  revision?: string;
  /** Another hub with the same paths; `https://huggingface.co` where left out. */
  host?: string;
  progress_callback?: ProgressCallback;
  signal?: AbortSignal;
  /** `null` keeps nothing; left out, the browser's Cache API is used. */
  cache?: CacheLike | null;
  /** Files from the cache alone; a file that is not there is an error. */
  local_files_only?: boolean;
  /** Expected SHA-256, by file name, in hexadecimal digits. */
  sha256?: Record<string, string>;
}

export interface RescorerOptions extends LoadOptions {
  /** `webgpu` where left out. */
  device?: DeviceKind;
  /** `fp32` where left out. */
  dtype?: Dtype;
  /** An adapter to load and to activate. */
  adapter?: Source;
  /** What adapters tuned here state as their base, best a hub id. Left out, the hub id, else the folder's name. */
  baseName?: string;
  /** How to start the worker, where the one beside this module cannot be (a page of another origin, a bundler). */
  worker?: () => Worker;
}

export interface CallOptions {
  signal?: AbortSignal;
  /** Most tokens computed at once. */
  batchTokens?: number;
  /** Hypotheses done, of how many. */
  onProgress?: (done: number, total: number) => void;
}

export interface RescoreOptions extends CallOptions {
  /** In place of the weights that travel with the adapter. */
  weights?: Weights;
}

export interface EvaluateOptions extends RescoreOptions {
  /** Of the bootstrap; 0 where left out. */
  seed?: number;
}

export interface TuneOptions extends CallOptions {
  /** Whether a weight per word is tuned too. */
  gamma?: boolean;
}

export interface LoadAdapterOptions extends LoadOptions {
  /** `default` where left out. An adapter of that name is replaced. */
  name?: string;
  /** Whether it becomes the active one; it does where left out. */
  activate?: boolean;
}

export interface AdapterInfo {
  name: string;
  /** What was trained: `lora`, `dora`, `adalora`, `full`, `bitfit`, `prefix`, `houlsby` or `head`. */
  method: string;
  /** `null` for methods without one, as is `alpha`. */
  rank: number | null;
  alpha: number | null;
  dropout: number;
  rslora: boolean;
  /** Adapted encoder layers, `null` for all. */
  layers: number[] | null;
  /** PEFT's names of the modules that low-rank terms adapt; empty for other methods. */
  targets: string[];
  /** Trained numbers in it. */
  parameters: number;
  /** `null` until they were tuned. */
  beta: number | null;
  gamma: number | null;
  /** SHA-256 of the base's weights, `null` where the adapter does not say. */
  baseHash: string | null;
  baseName: string | null;
  objective: string | null;
}

/** A PEFT folder. */
export interface AdapterFiles {
  'adapter_config.json': Blob;
  'adapter_model.safetensors': Blob;
}

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

/** What `lorb eval --json` says, by the same names. */
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
  /** The weights used, `null` without an adapter. */
  weights: Weights | null;
  /** Index of the chosen hypothesis of each list. */
  choices: number[];
  /** Hypotheses longer than the base can read, which were cut. */
  truncated: number;
}

export interface Tuned {
  beta: number;
  gamma: number;
  wer: number | null;
  werFirst: number | null;
  errors: number;
  errorsFirst: number;
  referenceWords: number;
  /** Whether the best beta lies at the end of what was tried. */
  atEdge: boolean;
  truncated: number;
}

/** Bytes held: by the wasm instance; by tensors on the GPU, and reserved there. `null` on the CPU. */
export interface Memory {
  wasm: number;
  device: number | null;
  deviceReserved: number | null;
}

export type Objective = 'mwer' | 'mwed' | 'listwise';

/** Settings of an adapter, PEFT's names in camel case. */
export interface LoraOptions {
  r?: number;
  alpha?: number;
  dropout?: number;
  /** `query`, `key`, `value`, `attention.output.dense`, `intermediate.dense`, `output.dense`, `dense`, `all-linear`. */
  targetModules?: string[];
  rslora?: boolean;
  /** Encoder layers, from 0; all where left out. */
  layers?: number[];
}

/** Settings of a run; what is left out is as in `lorb train`. */
export interface TrainOptions extends LoraOptions {
  objective?: Objective;
  corWeight?: number;
  labelSmoothing?: number;
  lr?: number;
  weightDecay?: number;
  epochs?: number;
  batchTokens?: number;
  accumulate?: number;
  recompute?: boolean;
  warmup?: number;
  decay?: 'linear' | 'cosine' | 'constant';
  clipNorm?: number;
  nbest?: number;
  seed?: number;
  beta?: number;
  firstScale?: number;
  evalsPerEpoch?: number;
  patience?: number;
  /** Name that the trained adapter gets in the rescorer, `default` where left out; one of that name is replaced at the end. */
  adapter?: string;
  /** Loaded adapter to start from, whose settings are kept; a new one where left out. */
  from?: string;
}

/** The core's messages, as in `lorb train --log-json`, and those of the run around it. */
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
  /** The device was lost; the run goes on after `step`, and `steps_lost` are done again. */
  | { type: 'recovered'; step: number; steps_lost: number; reason: string }
  /** `stop()` was called; the last message then. */
  | { type: 'stopped'; step: number; steps: number };

export interface RunOptions {
  /** Aborts the run: the iterator throws an `AbortError`, and no adapter is stored. */
  signal?: AbortSignal;
  /** Goes on from `trainer.checkpoint()` of the same data and settings. */
  checkpoint?: Uint8Array;
}

export type TrainerState = 'new' | 'running' | 'paused' | 'stopped' | 'finished' | 'failed';

/** One word of an alignment. */
export interface AlignedWord {
  op: 'equal' | 'substitute' | 'insert' | 'delete';
  ref?: string;
  hyp?: string;
}
