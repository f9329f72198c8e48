/** Sources of the model, their size, and whether they are already on this device. */

import { recall, remember } from './memory.js';

/** @typedef {{name: string, files: Record<string, number>}} Served */

export const MINILM = 'sentence-transformers/all-MiniLM-L6-v2';
export const HUB = 'https://huggingface.co';
const NEEDED = ['config.json', 'tokenizer.json', 'model.safetensors'];

/** Bytes to download for all-MiniLM-L6-v2: config, tokenizer, weights. */
const MINILM_BYTES = 612 + 466_247 + 90_868_376;

/** Models that this server offers in addition to the page. @returns {Promise<Served[]>} */
export async function served() {
  try {
    const response = await fetch('models/index.json');
    const offered = response.ok ? await response.json() : [];
    remember('served', offered);
    return offered;
  } catch {
    // Offline, earlier downloads are still on this device.
    return recall('served', []);
  }
}

/** @param {Served} model */
export function servedBytes(model) {
  return NEEDED.reduce((sum, file) => sum + (model.files[file] ?? 0), 0);
}

/** Size if known without a request. @param {string} id */
export function knownBytes(id) {
  return id === MINILM ? MINILM_BYTES : null;
}

/** Requests the size from the hub, so only when the user asks for it. @param {string} id */
export async function askHub(id) {
  const response = await fetch(`${HUB}/api/models/${id}/tree/main`);
  if (!response.ok) throw new Error(response.status === 401 || response.status === 404 ? `the hub has no public model ${id}` : `the hub answered ${response.status}`);
  /** @type {{path: string, size?: number}[]} */
  const files = await response.json();
  const sizes = new Map(files.map(({ path, size }) => [path, size ?? 0]));
  if (!sizes.has('model.safetensors')) throw new Error(`${id} has no model.safetensors, the only format that LoRB reads`);
  return NEEDED.reduce((sum, file) => sum + (sizes.get(file) ?? 0), 0);
}
