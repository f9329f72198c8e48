/** What can go wrong, as classes to tell apart by `instanceof` or by `name`. An aborted call throws the signal's reason instead,
 * by default a `DOMException` named `AbortError`. */

export class LorbError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The browser has no WebGPU, or no adapter for it. `device: 'wasm'` computes on the CPU. */
export class WebGPUNotAvailableError extends LorbError {}

/** The device computes wrongly, or lacks what the kernels need. */
export class DeviceRefusedError extends LorbError {}

/** The device was lost, and starting again did not help, or was tried before in this run. */
export class DeviceLostError extends LorbError {
  /** The run as it was last mirrored: `trainer.run(train, dev, {checkpoint})` goes on from there. */
  checkpoint?: Uint8Array;
}

/** A file is not the one that was expected, or is damaged. */
export class IntegrityError extends LorbError {
  readonly url: string;
  /** SHA-256 in hexadecimal digits; empty where damage was found without one to compare with. */
  readonly expected: string;
  readonly actual: string;

  constructor(url: string, expected: string, actual: string, message?: string) {
    super(message ?? `${url} is not the file that was expected: SHA-256 ${expected} expected, ${actual} found; it is not kept, so try again`);
    this.url = url;
    this.expected = expected;
    this.actual = actual;
  }
}

/** There is no room left to keep something that was to be kept. */
export class QuotaError extends LorbError {}

/** The model is no BERT that LoRB can compute, or its files are of another format. */
export class UnsupportedModelError extends LorbError {}

/** A list, a setting or another argument is not as it has to be. */
export class BadInputError extends LorbError {}

/** An adapter's files are unsound, or it belongs to another base. */
export class AdapterError extends LorbError {}

/** A file cannot be had: not there, refused, or the network is down. */
export class SourceError extends LorbError {
  readonly url: string;
  /** The server's answer; absent where there was none. */
  readonly status: number | undefined;

  constructor(url: string, message: string, status?: number, options?: ErrorOptions) {
    super(`${url}: ${message}`, options);
    this.url = url;
    this.status = status;
  }
}

/** A wasm instance that trapped or a worker that died: it is dead, and another has to take its place. */
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
};

/** An error as it crosses from the worker. */
export interface WireError {
  name: string;
  message: string;
}

export function toWire(error: unknown): WireError {
  // After a trap nothing in the instance's memory can be trusted.
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

/** Whether another worker may do what this one failed at. */
export function isLoss(error: unknown): error is DeviceLostError | WorkerDiedError {
  return error instanceof DeviceLostError || error instanceof WorkerDiedError;
}

/** A browser says "full" in several ways. */
export function isQuota(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name;
  return name === 'QuotaExceededError' || name === 'NS_ERROR_DOM_QUOTA_REACHED' || name === 'QuotaError';
}
