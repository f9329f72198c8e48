/** Every variant of the matrix products, with the text that the build generates from the shaders. */

import { bind, check, compile, memory, random, time } from './gpu.js';

/** @import {Gpu} from './gpu.js' */
/** @import {Found, Settings, Shape} from './measure.js' */

/**
 * @typedef {object} Variant
 * @property {string} name
 * @property {string} entry
 * @property {[name: string, written: boolean][]} buffers
 * @property {[name: string, float: boolean][]} params
 * @property {Record<string, number>} constants
 * @property {({head: string} | {file: string})[]} parts
 */
/** @typedef {{rows: number, inputs: number, width: number, blocks: number}} Layer Blocks of `width` outputs, each adapted. */

const RANK = 8;
/** Marks an output block without a low-rank term. */
const NO_SLOT = 0xffffffff;
/** 1.0 as f32. */
const ONE = 0x3f800000;
const MOST_GROUPS = 65535;

/** @returns {Promise<{files: Record<string, string>, kernels: Variant[]}>} */
export async function loadVariants() {
  const answer = await fetch('kernels/products.json');
  if (!answer.ok) throw new Error(`kernels/products.json: ${answer.status}`);
  return answer.json();
}

/** The layers of a base. @param {Shape} shape @param {number} rows @returns {Layer[]} */
export function layersOf({ hidden, inner }, rows) {
  return [
    { rows, inputs: hidden, width: hidden, blocks: 3 },
    { rows, inputs: hidden, width: hidden, blocks: 1 },
    { rows, inputs: hidden, width: inner, blocks: 1 },
    { rows, inputs: inner, width: hidden, blocks: 1 },
  ];
}

/** A uniform parameter by its name in the shaders. @param {Layer} layer @param {string} name */
function word({ rows, inputs, width, blocks }, name) {
  /** @type {Record<string, number>} */
  const words = { rows, inputs, outputs: blocks * width, scales: 0, width, rank: RANK, adapted: blocks, scale: ONE, stacked_rank: blocks * RANK, gelu: 0 };
  for (let slot = 0; slot < 3; slot += 1) words[`slot_${slot}`] = slot < blocks ? slot : NO_SLOT;
  return known(words, name);
}

/** Floats of a buffer by its name in the shaders. @param {Layer} layer @param {string} name */
function elements({ rows, inputs, width, blocks }, name) {
  const [outputs, rank] = [blocks * width, blocks * RANK];
  const sizes = { x: rows * inputs, dx: rows * inputs, y: rows * outputs, g: rows * outputs, w: outputs * inputs, bias: outputs, factors: rank * inputs + outputs * RANK, u: rows * rank, v: rows * rank, pre: 4 };
  return known(sizes, name);
}

/** @param {Record<string, number>} all @param {string} name */
function known(all, name) {
  const found = all[name];
  if (found === undefined) throw new Error(`this page has no value for ${name}`);
  return found;
}

/** Rows or columns of a tile; square tiles have one constant. @param {Variant} variant @param {string} name */
function side({ name: of, constants }, name) {
  const found = constants[name] ?? constants['TILE'];
  if (!found) throw new Error(`${of} has no ${name}`);
  return found;
}

/** Whether a variant can compute a layer: a fused low-rank term needs whole tiles and a rank that fits. @param {Variant} variant @param {Layer} layer */
function suits(variant, layer) {
  const extra = variant.constants['EXTRA'] ?? 0;
  return extra === 0 || (RANK <= 8 * extra && layer.width % side(variant, 'TILE_COLUMNS') === 0);
}

/** Workgroups, folded if there are too many for one dimension. @param {number} count @returns {[number, number, number]} */
function folded(count) {
  const rows = Math.ceil(count / MOST_GROUPS);
  return [Math.ceil(count / rows), rows, 1];
}

/** @param {Gpu} gpu @param {Settings} settings @param {Found} found @param {(what: string) => void} now */
export async function measureProducts(gpu, { shape, rows, seconds }, found, now) {
  const { files, kernels } = await loadVariants();
  const layers = rows.flatMap((count) => layersOf(shape, count));
  const most = (/** @type {string[]} */ ...names) => Math.max(...layers.flatMap((layer) => names.map((name) => elements(layer, name))));
  const inputs = await random(gpu, most('x', 'g'), -1, 1);
  const weights = await random(gpu, most('w', 'bias', 'factors', 'v'), -0.05, 0.05);
  const written = await memory(gpu, 4 * most('y', 'dx'));
  const lowRank = await random(gpu, most('u'), -0.05, 0.05);
  /** @type {Record<string, GPUBuffer>} */
  const buffers = { x: inputs, g: inputs, w: weights, bias: weights, factors: weights, v: weights, pre: weights, y: written, dx: written, u: lowRank };
  for (const variant of kernels) {
    now(variant.name);
    try {
      const code = variant.parts.map((part) => ('head' in part ? part.head : files[part.file])).join('');
      const pipeline = await compile(gpu, code, variant.entry);
      for (const layer of layers.filter((each) => suits(variant, each))) {
        const outputs = layer.blocks * layer.width;
        const columns = variant.entry.endsWith('_backward') ? layer.inputs : outputs;
        const tiles = Math.ceil(layer.rows / side(variant, 'TILE_ROWS')) * Math.ceil(columns / side(variant, 'TILE_COLUMNS'));
        const bound = variant.buffers.map(([name]) => {
          elements(layer, name);
          return buffers[name] ?? written;
        });
        const kernel = await bind(gpu, pipeline, bound, variant.params.map(([name]) => word(layer, name)), folded(tiles));
        const times = await time(gpu, kernel, seconds);
        await check(gpu, written, variant.name);
        found({
          row: 'product',
          kernel: variant.entry,
          variant: variant.name,
          rows: layer.rows,
          inputs: layer.inputs,
          outputs,
          microseconds: 1e3 * times.host,
          ...(times.device === null ? {} : { device_microseconds: 1e3 * times.device }),
          gflop_s: (2 * layer.rows * layer.inputs * outputs) / (times.device ?? times.host) / 1e6,
        });
      }
    } catch (error) {
      if (error instanceof DOMException && error.name === 'AbortError') throw error;
      // A variant that a driver refuses must not hide the others.
      found({ row: 'left_out', what: variant.name, why: error instanceof Error ? error.message : String(error) });
    }
  }
  for (const buffer of [inputs, weights, written, lowRank]) buffer.destroy();
}
