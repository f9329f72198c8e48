/** All measurements, in order. */

import { measureFloors, measurePeak } from './floors.js';
import { measureProducts } from './products.js';
import { measureSteps } from './steps.js';

/** @import {Gpu} from './gpu.js' */

/** @typedef {{name: string, hidden: number, inner: number, layers: number, heads: number}} Shape */
/** @typedef {Record<string, unknown> & {row: string}} Row The rows of `lorb bench --sweep --json`, with `load` and `script_microseconds` in addition. */
/** @typedef {(row: Row) => void} Found */
/**
 * @typedef {object} Settings
 * @property {Shape} shape
 * @property {number[]} rows Rows of the products.
 * @property {number[]} tokens Tokens of a batch.
 * @property {number} seconds Duration of a measurement.
 * @property {'webgpu' | 'wasm'} device
 * @property {number} warmUp Steps before the timed ones, in which kernels are compiled.
 * @property {number} leastSteps Timed steps.
 * @property {number} [invocations] Of the kernel of multiply-adds.
 * @property {number} [copied] Bytes.
 */

/** @type {Record<string, Shape>} */
export const SHAPES = {
  minilm: { name: 'minilm', hidden: 384, inner: 1536, layers: 6, heads: 12 },
  tiny: { name: 'tiny', hidden: 64, inner: 128, layers: 2, heads: 4 },
};

/** Seconds of a floor, a rate and a step, and of each variant of a product. */
const SHARES = { floor: 0.3, rate: 0.5, product: 0.06, step: 2 };

/** Settings of a minute on an ordinary GPU, changed by the page's address: `?shape=tiny&rows=60&tokens=200&speed=20`. @param {string} search @returns {Settings & {speed: number}} */
export function settingsOf(search) {
  const asked = new URLSearchParams(search);
  const sizes = (/** @type {string} */ name, /** @type {number[]} */ usual) => {
    const given = (asked.get(name) ?? '').split(',').map(Number).filter((size) => Number.isSafeInteger(size) && size > 0);
    return given.length ? given : usual;
  };
  const speed = Number(asked.get('speed')) || 1;
  const shape = SHAPES[asked.get('shape') ?? 'minilm'] ?? { name: 'minilm', hidden: 384, inner: 1536, layers: 6, heads: 12 };
  const small = shape.name === 'tiny';
  return {
    shape,
    rows: sizes('rows', [1024, 4096]),
    tokens: sizes('tokens', [1024, 4096]),
    seconds: 1,
    device: 'webgpu',
    speed,
    ...(small ? { warmUp: 1, leastSteps: 1 } : { warmUp: 2, leastSteps: 3 }),
    ...(small ? { invocations: 1 << 14, copied: 1 << 20 } : {}),
  };
}

/**
 * Runs the parts; a part that fails is reported and does not stop the others.
 * @param {Gpu} gpu
 * @param {Settings & {speed: number}} settings
 * @param {Found} found
 * @param {(share: number, what: string) => void} progress
 * @param {AbortSignal} signal
 */
export async function measure(gpu, settings, found, progress, signal) {
  const within = (/** @type {number} */ seconds) => ({ ...settings, seconds: seconds / settings.speed });
  /** @type {Found} */
  const checked = (row) => {
    signal.throwIfAborted();
    found(row);
  };
  /** @type {[what: string, weight: number, run: (now: (what: string) => void) => Promise<void>][]} */
  const parts = [
    ['launches, uploads, reads', 5, () => measureFloors(gpu, within(SHARES.floor), checked)],
    ['arithmetic and copies', 5, () => measurePeak(gpu, within(SHARES.rate), checked)],
    ['matrix products', 40, (now) => measureProducts(gpu, within(SHARES.product), checked, now)],
    ['training and rescoring', 50, (now) => measureSteps(within(SHARES.step), checked, now, signal)],
  ];
  let done = 0;
  for (const [what, weight, run] of parts) {
    progress(done, what);
    try {
      await run((now) => progress(done, `${what}: ${now}`));
    } catch (error) {
      signal.throwIfAborted();
      found({ row: 'left_out', what, why: error instanceof Error ? error.message : String(error) });
    }
    done += weight;
  }
  progress(done, 'done');
}
