/**
 * The core's objectives, tuning methods and their settings. The core's test `registry_of_the_package` writes this file
 * when `LORB_BLESS` is set.
 */

/** Training objectives; the first is the default. */
export const OBJECTIVES = [
  { name: 'mwer', label: 'MWER: expected word errors', help: 'minimum word error rate: the expected number of word errors' },
  { name: 'mwed', label: 'MWED: error distribution', help: 'matching the distribution of word errors over the list' },
  { name: 'listwise', label: 'List-wise cross-entropy', help: 'cross-entropy towards the hypotheses with the fewest errors' },
  { name: 'md', label: 'MD: a teacher\'s scores', help: 'distillation: the scores of a teacher, `lm` of the lists; needs no references' },
] as const;

/** Tuning methods; `lora` is the default. */
export const METHODS = [
  { name: 'full', label: 'Full fine-tuning', help: 'the whole encoder' },
  { name: 'head', label: 'Head only', help: 'the score head only, which all other methods train too' },
  { name: 'bitfit', label: 'BitFit', help: 'the biases of the encoder' },
  { name: 'prefix', label: 'Prefix tuning', help: 'keys and values of virtual tokens, before those of every layer' },
  { name: 'houlsby', label: 'Residual adapters', help: 'bottleneck adapters after output layers' },
  { name: 'lora', label: 'LoRA', help: 'low-rank updates of linear layers' },
  { name: 'lorb', label: 'LoRB', help: 'lora with the correlation term' },
  { name: 'rslora', label: 'rsLoRA', help: 'lora scaled by alpha / sqrt(r)' },
  { name: 'dora', label: 'DoRA', help: 'lora with a trained magnitude vector' },
  { name: 'adalora', label: 'AdaLoRA', help: 'lora with ranks allocated by importance' },
  { name: 'adalorb', label: 'AdaLoRA + correlation', help: 'adalora with the correlation term' },
  { name: 'rank-warmup', label: 'LoRA, high-rank warm-up', help: 'lora that starts with a higher rank' },
  { name: 'mixed-rank', label: 'LoRA, mixed rank', help: 'the same, with ranks by singular value' },
] as const;

export type Objective = (typeof OBJECTIVES)[number]['name'];

export type MethodName = (typeof METHODS)[number]['name'];

/** A tuning method and its settings; a setting of another method is an error. */
export interface MethodOptions {
  /** `lora` by default. */
  method?: MethodName;
  /** Virtual tokens of the prefix [default: 20]. For prefix. */
  prefixLength?: number;
  /** Width of the bottlenecks [default: 64]. For houlsby. */
  adapterWidth?: number;
  /** Rank of the low-rank matrices [default: 8]. For lora, lorb, rslora, dora, adalora, adalorb, rank-warmup, mixed-rank. */
  r?: number;
  /** Numerator of the scale alpha / r [default: 16]. For lora, lorb, rslora, dora, adalora, adalorb, rank-warmup, mixed-rank. */
  alpha?: number;
  /** Dropout rate on the inputs of the low-rank matrices [default: 0]. For lora, lorb, rslora, dora, adalora, adalorb, rank-warmup, mixed-rank. */
  dropout?: number;
  /** Linear layers to adapt, by PEFT's names: query, key, value, attention.output.dense, intermediate.dense, output.dense (both output layers), dense, all-linear, or by those of another architecture, such as q_lin [default: query,value]. For lora, lorb, rslora, dora, adalora, adalorb, rank-warmup, mixed-rank. */
  targetModules?: string[];
  /** Encoder layers to adapt, counted from 0 [default: all]. For lora, lorb, rslora, dora, adalora, adalorb, rank-warmup, mixed-rank. */
  layers?: number[];
  /** Scale by alpha / sqrt(r) (rsLoRA). For lora, lorb, rslora, dora, rank-warmup, mixed-rank. */
  rslora?: boolean;
  /** Final rank [default: 8]; the rank r is then the initial one [default: 1.5 times the final rank for adalora, 4 times for rank-warmup and mixed-rank]. For adalora, adalorb, rank-warmup, mixed-rank. */
  targetR?: number;
}

/** The keys of `MethodOptions`. */
export const METHOD_OPTIONS: readonly (keyof MethodOptions)[] = ['method', 'prefixLength', 'adapterWidth', 'r', 'alpha', 'dropout', 'targetModules', 'layers', 'rslora', 'targetR'];
