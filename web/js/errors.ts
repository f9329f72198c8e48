/** Error classes, to distinguish by `instanceof` or `name`. An aborted call throws the signal's reason instead, by default a
 * `DOMException` named `AbortError`. */

export class LorbError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The browser or the page lacks something that the package needs. The message names it and what to do. */
export class MissingFeatureError extends LorbError {}

/** The browser has no WebGPU, or no GPU adapter. `device: 'wasm'` computes on the CPU. */
export class WebGPUNotAvailableError extends LorbError {}

/** The device returns wrong results, or lacks features that the kernels need. */
export class DeviceRefusedError extends LorbError {}

/** The device was lost and could not be restarted, or was already restarted once in this run. */
export class DeviceLostError extends LorbError {
  /** The last saved state of the run: `trainer.run(train, dev, {checkpoint})` continues from it. */
  checkpoint?: Uint8Array;
}

/** A file is damaged or not the expected one. */
export class IntegrityError extends LorbError {
  readonly url: string;
  /** SHA-256 in hexadecimal digits; empty if the damage was found without an expected hash. */
  readonly expected: string;
  readonly actual: string;

  constructor(url: string, expected: string, actual: string, message?: string) {
    super(message ?? `${url} is not the expected file: expected SHA-256 ${expected}, found ${actual}; the file was discarded, try again`);
    this.url = url;
    this.expected = expected;
    this.actual = actual;
  }
}

/** There is no storage space left. */
export class QuotaError extends LorbError {}

/** The model is not a BERT or DistilBERT that LoRB supports, or its files have another format. */
export class UnsupportedModelError extends LorbError {}

/** A list, a setting or another argument is invalid. */
export class BadInputError extends LorbError {}

/** An adapter's files are invalid, or it belongs to another base. */
export class AdapterError extends LorbError {}

/** A file could not be downloaded or read: not found, access denied, or a network failure. */
export class SourceError extends LorbError {
  readonly url: string;
  /** The server's status code; absent if there was no response. */
  readonly status: number | undefined;

  constructor(url: string, message: string, status?: number, options?: ErrorOptions) {
    super(`${url}: ${message}`, options);
    this.url = url;
    this.status = status;
  }
}

/** The worker could not be started, ended, or its wasm instance trapped. */
export class WorkerDiedError extends LorbError {}

const CLASSES: Record<string, new (message: string) => Error> = {
  WebGPUNotAvailableError,
  DeviceRefusedError,
  DeviceLostError,
  QuotaError,
  UnsupportedModelError,
  BadInputError,
  AdapterError,
  WorkerDiedError,
  MissingFeatureError,
};

// Literal names: minifiers rename classes.
for (const [name, type] of Object.entries({ ...CLASSES, LorbError, IntegrityError, SourceError })) type.prototype.name = name;

/** An error in the form in which the worker sends it. */
export interface WireError {
  name: string;
  message: string;
}

export function toWire(error: unknown): WireError {
  // After a trap, the memory of the instance cannot be trusted.
  if (error instanceof WebAssembly.RuntimeError || (error as Error | null)?.name === 'PanicError') {
    return { name: 'WorkerDiedError', message: `the computation failed: ${(error as Error).message}` };
  }
  if (error instanceof Error || error instanceof DOMException) return { name: error.name, message: error.message };
  return { name: 'Error', message: String(error) };
}

export function fromWire({ name, message }: WireError): Error {
  if (name === 'AbortError') return abortError(message);
  if (name === 'IntegrityError') return new IntegrityError('', '', '', message);
  const known = CLASSES[name];
  if (known) return new known(message);
  const error = new LorbError(message);
  error.name = name;
  return error;
}

export function abortError(message = 'the call was aborted'): DOMException {
  return new DOMException(message, 'AbortError');
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason ?? abortError();
}

/** Whether another worker may succeed where this one failed. */
export function isLoss(error: unknown): error is DeviceLostError | WorkerDiedError {
  return error instanceof DeviceLostError || error instanceof WorkerDiedError;
}

/** Whether an error while loading says nothing about the contents of the files. */
export function isElsewhere(error: unknown): boolean {
  return isLoss(error) || [SourceError, DeviceRefusedError, WebGPUNotAvailableError, MissingFeatureError, QuotaError].some((type) => error instanceof type);
}

/** Browsers report a full disk in several ways. */
export function isQuota(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name;
  return name === 'QuotaExceededError' || name === 'NS_ERROR_DOM_QUOTA_REACHED' || name === 'QuotaError';
}
