/**
 * LoRB in the browser: re-rank N-best lists and tune an adapter on the user's corrections. No data
 * leaves the device.
 */

export { Rescorer } from './rescorer.js';
export type { Trainer } from './trainer.js';
export { AdapterStore } from './store.js';
export { parseNbest } from './parse.js';
export type { ListData, ListOptions, ParseOptions, ScoreKind } from './parse.js';
export { alignWords } from './words.js';
export { firstPass } from './first-pass.js';
export { isHubId } from './source.js';
export { fromSpeech } from './speech.js';
export {
  AdapterError,
  BadInputError,
  DeviceLostError,
  DeviceRefusedError,
  IntegrityError,
  LorbError,
  MissingFeatureError,
  QuotaError,
  SourceError,
  UnsupportedModelError,
  WebGPUNotAvailableError,
  WorkerDiedError,
} from './errors.js';
export { METHODS, OBJECTIVES } from './registry.js';
export type * from './types.js';
