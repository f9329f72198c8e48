/** The panel that chooses, loads and unloads the model. */

import { announce, box, button, fill, get, input, select } from './dom.js';
import { size } from './format.js';
import { recall, remember } from './memory.js';
import { aborted, explain, notify, notifyError } from './notices.js';
import { Rescorer, isHubId } from './package.js';
import { watchLoading } from './progress.js';
import { BUILT_IN, MINILM_HASH, READY_MADE, readyMade, readyMadeFor } from './samples.js';
import { keptAdapters } from './shelf.js';
import { HUB, MINILM, askHub, knownBytes, served, servedBytes } from './source.js';
import { changed, on, state } from './state.js';

/** @import {Source} from './types.js' */
/** @typedef {{source: Source, name: string, bytes: number | null, from: string | null}} Choice `from` is a URL on the server, null for files */

const OTHER = 'other';
const FILES = 'files';

/** @type {import('./source.js').Served[]} */
let offers = [];
/** Sizes reported by the hub, by id. @type {Map<string, number>} */
const asked = new Map();
/** @type {AbortController | null} */
let loading = null;

export async function startModel() {
  offers = await served();
  const options = /** @type {[string, string][]} */ ([
    ...offers.map(({ name }) => [`served:${name}`, name === BUILT_IN ? 'Small built-in model' : `${name}, from this server`]),
    ['hub', 'all-MiniLM-L6-v2, more accurate, from the Hugging Face hub'],
    [OTHER, 'Another BERT from the hub…'],
    [FILES, 'Files from this device…'],
  ]);
  fill(select('model-source'), options, recall('source', options[0]?.[0] ?? 'hub'));
  select('model-dtype').value = recall('dtype', 'fp32');
  if (select('model-dtype').value === '') select('model-dtype').value = 'fp32';

  get('model-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    void load();
  });
  for (const id of ['model-source', 'model-dtype', 'model-device', 'model-id', 'model-files']) box(id).addEventListener('change', () => void describe());
  input('model-id').addEventListener('input', () => void describe());
  button('model-size').addEventListener('click', () => void measure());
  button('model-cancel').addEventListener('click', () => loading?.abort());
  button('model-unload').addEventListener('click', () => void unload());
  on(['busy', 'model'], controls);
  await Promise.all([findGpu(), describe()]);
}

/** Reports missing WebGPU and falls back to the CPU. */
async function findGpu() {
  const gpu = /** @type {{requestAdapter(): Promise<unknown>} | undefined} */ (Reflect.get(navigator, 'gpu'));
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (adapter) return;
  const device = select('model-device');
  device.value = 'wasm';
  const option = device.options[0];
  if (option) {
    option.disabled = true;
    option.textContent = 'No GPU available';
  }
  const why = !isSecureContext
    ? 'WebGPU needs a page served over https or from localhost.'
    : gpu
      ? 'The browser supports WebGPU but found no GPU.'
      : 'This browser does not support WebGPU.';
  notify(box('model-notices'), { headline: 'LoRB uses the CPU.', detail: `${why} Results are the same; tuning takes several times as long.`, key: 'gpu' });
}

/** @returns {Choice | null} */
function choice() {
  const value = select('model-source').value;
  const offer = offers.find(({ name }) => value === `served:${name}`);
  if (offer) {
    const folder = new URL(`models/${offer.name}/`, document.baseURI).href;
    return { source: folder, name: offer.name, bytes: servedBytes(offer), from: folder };
  }
  if (value === FILES) {
    const files = [...(input('model-files').files ?? [])];
    const bytes = files.reduce((sum, file) => sum + file.size, 0);
    return files.length ? { source: files, name: 'BASE', bytes, from: null } : null;
  }
  const id = value === OTHER ? input('model-id').value.trim() : MINILM;
  if (!isHubId(id)) return null;
  return { source: id, name: id, bytes: knownBytes(id) ?? asked.get(id) ?? null, from: HUB };
}

/** Shows what a click would download. */
async function describe() {
  const value = select('model-source').value;
  box('model-id-row').hidden = value !== OTHER;
  box('model-files-row').hidden = value !== FILES;
  remember('source', value);
  remember('dtype', select('model-dtype').value);
  const chosen = choice();
  const note = box('model-note');
  const start = button('model-load');
  start.disabled = chosen === null;
  if (!chosen) {
    start.textContent = 'Start';
    note.textContent = value === FILES ? 'Select the three files of a BERT. They stay on this device.' : 'The id of a BERT with model.safetensors, such as google-bert/bert-base-uncased.';
    return;
  }
  const stored = await Rescorer.stored(chosen.source);
  const amount = chosen.bytes === null ? 'unknown size' : size(chosen.bytes);
  const dtype = rounding(select('model-dtype').value, select('model-device').value);
  if (stored.whole) {
    start.textContent = 'Start';
    note.textContent = `${chosen.from ? 'Already on this device' : 'From your files'}: ${amount}, nothing to download.${dtype}`;
    return;
  }
  start.textContent = chosen.bytes === null ? 'Download and start' : `Download ${size(Math.max(0, chosen.bytes - stored.bytes))} and start`;
  const host = new URL(chosen.from ?? document.baseURI).host;
  const before = stored.bytes > 0 ? ` ${size(stored.bytes)} of it is already here.` : '';
  const room = await freeRoom(chosen.bytes);
  note.textContent = `Downloads ${amount} from ${host} once and stores it in this browser for the next visit.${before}${dtype}${room}`;
}

/** Explains the precision. @param {string} dtype @param {string} device */
function rounding(dtype, device) {
  if (dtype === 'fp32') return '';
  const saved = device === 'wasm' ? 'this saves no memory on the CPU' : `the linear layers take ${dtype === 'fp16' ? 'half' : 'a quarter of'} the memory`;
  return ` Weights are rounded to ${dtype === 'fp16' ? 16 : 8} bits on loading: the download is the same, ${saved}.`;
}

/** @param {number | null} bytes */
async function freeRoom(bytes) {
  const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
  if (bytes === null || quota === undefined || usage === undefined || quota - usage > bytes) return '';
  return ` The browser has space for only ${size(quota - usage)}, so the model stays in memory until you close the page.`;
}

async function measure() {
  const id = input('model-id').value.trim();
  if (!isHubId(id)) return;
  try {
    asked.set(id, await askHub(id));
    await describe();
  } catch (error) {
    notifyError(box('model-notices'), error);
  }
}

/** @param {'idle' | 'loading' | 'ready' | 'failed'} kind @param {string} chip @param {string} text */
function show(kind, chip, text) {
  box('model-chip').dataset.state = kind;
  box('model-chip-text').textContent = chip;
  box('model-state').textContent = text;
}

function controls() {
  const ready = state.rescorer !== null;
  for (const id of ['model-source', 'model-device', 'model-dtype']) select(id).disabled = ready || loading !== null;
  input('model-id').disabled = input('model-files').disabled = ready || loading !== null;
  button('model-load').hidden = ready || loading !== null;
  button('model-cancel').hidden = loading === null;
  button('model-unload').hidden = !ready;
  button('model-unload').disabled = state.busy !== null;
  box('model-progress').hidden = loading === null;
  box('model-note').hidden = ready || loading !== null;
}

async function load() {
  const chosen = choice();
  if (!chosen || loading || state.rescorer) return;
  const notices = box('model-notices');
  const device = /** @type {'webgpu' | 'wasm'} */ (select('model-device').value);
  const dtype = /** @type {'fp32' | 'fp16' | 'int8'} */ (select('model-dtype').value);
  loading = new AbortController();
  const { signal } = loading;
  notices.replaceChildren();
  show('loading', 'Loading', 'Loading.');
  controls();
  button('model-cancel').focus();
  const started = performance.now();
  try {
    const rescorer = await Rescorer.fromPretrained(chosen.source, { device, dtype, signal, progress_callback: watchLoading(chosen.bytes) });
    await shelve(rescorer, chosen.name);
    state.rescorer = rescorer;
    state.baseName = rescorer.hash === MINILM_HASH ? MINILM : chosen.name;
    const seconds = (performance.now() - started) / 1000;
    const named = rescorer.deviceName.startsWith('GPU') ? '' : ` (${rescorer.deviceName})`;
    const where = device === 'webgpu' ? `the GPU${named}` : 'the CPU';
    const { wasm, device: held } = await rescorer.memory();
    const numbers = `${(rescorer.parameters / 1e6).toFixed(1)} million parameters on ${where}`;
    show('ready', device === 'webgpu' ? 'Ready on GPU' : 'Ready on CPU', `${numbers}, ${size(wasm + (held ?? 0))} of memory, started in ${seconds.toFixed(1)} s.`);
    box('model-title').textContent = { BASE: 'Your model', [BUILT_IN]: 'Small built-in model' }[chosen.name] ?? chosen.name.split('/').pop() ?? chosen.name;
    announce('The model is ready.');
  } catch (error) {
    show(aborted(error) ? 'idle' : 'failed', aborted(error) ? 'No model' : 'Not loaded', aborted(error) ? 'Cancelled. The downloaded part is kept.' : explain(error).headline);
    notifyError(notices, error);
  } finally {
    loading = null;
    changed('model');
    if (!state.rescorer) await describe();
    button(state.rescorer ? 'model-unload' : 'model-load').focus({ preventScroll: true });
  }
}

/** Loads the ready-made and the stored adapters. @param {Rescorer} rescorer @param {string} base */
async function shelve(rescorer, base) {
  const notices = box('model-notices');
  const folder = readyMadeFor(rescorer.hash, base);
  if (folder) {
    for (const [domain, name] of Object.entries(READY_MADE)) {
      try {
        await rescorer.loadAdapter(await readyMade(folder, domain), { name, activate: false });
      } catch (error) {
        notify(notices, { headline: `The ready-made adapter “${name}” could not be loaded.`, detail: explain(error).detail });
      }
    }
  } else {
    notify(notices, { headline: 'The ready-made adapters belong to the built-in model and to all-MiniLM-L6-v2. For this model, train an adapter first.', key: 'ready-made' });
  }
  const kept = await keptAdapters().catch((error) => {
    notify(notices, { headline: 'Stored adapters cannot be read: this browser has no private file system for this page.', detail: String(error) });
    return /** @type {[string, Record<string, Blob>][]} */ ([]);
  });
  for (const [name, files] of kept) {
    try {
      await rescorer.loadAdapter(files, { name, activate: false });
    } catch (error) {
      notify(notices, { headline: `“${name}” was not loaded: it does not fit this model.`, detail: explain(error).detail });
    }
  }
  const first = rescorer.adapters()[0];
  if (first) rescorer.setAdapter(first.name);
}

async function unload() {
  const rescorer = state.rescorer;
  state.rescorer = null;
  await rescorer?.dispose();
  box('model-title').textContent = 'First, load a language model';
  show('idle', 'No model', 'Unloaded. The download is still on this device.');
  changed('model');
  await describe();
  button('model-load').focus();
}

/** After a device is lost for good, the model can no longer be used. */
export async function modelLost() {
  await unload();
  show('failed', 'Not loaded', 'The device was lost.');
}

