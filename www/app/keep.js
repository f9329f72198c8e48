/** Keep it: name, properties, downloads and commands of an adapter. */

import { box, button, el, fill, get, input, select } from './dom.js';
import { startCompare } from './compare.js';
import { nativeCommand, peftSnippet } from './commands.js';
import { fileName, saveBlob, zip } from './files.js';
import { signed } from './format.js';
import { explain } from './notices.js';
import { READY_MADE } from './samples.js';
import { dropAdapter, keepAdapter } from './shelf.js';
import { activate, adapters, changed, on, state } from './state.js';

/** @import {AdapterFiles} from '../lorb/index.js' */

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';

/** Whether the chosen adapter follows the active one. */
let chosen = '';

export function startKeep() {
  startCompare();
  select('keep-adapter').addEventListener('change', () => {
    chosen = select('keep-adapter').value;
    show();
  });
  button('keep-zip').addEventListener('click', () => act(saveZip));
  button('keep-pair').addEventListener('click', () => act(savePair));
  button('keep-delete').addEventListener('click', () => act(remove));
  get('rename-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    act(rename);
  });
  input('bring-files').addEventListener('change', () => act(() => bring(input('bring-files').files)));
  acceptDrops();
  for (const copy of document.querySelectorAll('button[data-copy]')) if (copy instanceof HTMLButtonElement) copy.addEventListener('click', () => void copyFrom(copy));
  on(['model', 'adapters'], () => {
    const active = state.rescorer?.activeAdapter;
    if (active) chosen = active;
    show();
  });
  on(['busy'], show);
}

function acceptDrops() {
  const zone = box('bring-drop');
  zone.addEventListener('dragover', (event) => {
    event.preventDefault();
    zone.classList.add('over');
  });
  zone.addEventListener('dragleave', () => zone.classList.remove('over'));
  zone.addEventListener('drop', (event) => {
    event.preventDefault();
    zone.classList.remove('over');
    const files = event.dataTransfer?.files ?? null;
    act(() => bring(files));
  });
}

/** @param {() => Promise<string>} work its result is shown */
function act(work) {
  const said = box('keep-said');
  said.textContent = '';
  work().then(
    (text) => (said.textContent = text),
    (error) => {
      const { headline, detail } = explain(error);
      said.textContent = `${headline} ${detail}`;
    },
  );
}

function info() {
  return adapters().find(({ name }) => name === chosen) ?? adapters()[0];
}

function show() {
  const all = adapters();
  const current = info();
  chosen = current?.name ?? '';
  const chooser = select('keep-adapter');
  fill(chooser, all.length ? all.map(({ name }) => /** @type {[string, string]} */ ([name, name])) : [['', 'none yet']], chosen);
  chooser.disabled = all.length === 0 || state.busy !== null;
  box('keep-box').hidden = !current;
  box('keep-empty').hidden = Boolean(current);
  box('bring-drop').hidden = !state.rescorer;
  if (!current) return;
  const facts = [
    ['Rank, alpha', current.rank === null ? 'none' : `${current.rank}, ${current.alpha}`],
    ['Adapted', current.targets.join(', ')],
    ['Trainable parameters', current.parameters.toLocaleString('en')],
    ['Weights', current.beta === null ? 'not tuned' : `β ${current.beta.toFixed(2)}, γ ${signed(current.gamma ?? 0, 2)}`],
  ];
  box('keep-facts').replaceChildren(...facts.map(([name = '', value = '']) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
  const ready = isReadyMade(current.name);
  if (document.activeElement !== input('keep-name')) input('keep-name').value = current.name;
  get('rename-form', HTMLFormElement).hidden = ready;
  for (const id of ['keep-zip', 'keep-pair', 'keep-delete']) button(id).disabled = state.busy !== null;
  const folder = fileName(current.name);
  box('code-native').textContent = nativeCommand(state.baseName, folder);
  box('code-peft').textContent = peftSnippet(state.baseName, folder);
}

/** @param {string} name */
function isReadyMade(name) {
  return Object.values(READY_MADE).includes(name);
}

/** @returns {Promise<AdapterFiles>} */
async function files() {
  if (!state.rescorer || !chosen) throw new Error('no adapter is selected');
  return state.rescorer.saveAdapter(chosen);
}

async function saveZip() {
  const both = await files();
  const folder = fileName(chosen);
  saveBlob(await zip([[`${folder}/${CONFIG}`, both[CONFIG]], [`${folder}/${WEIGHTS}`, both[WEIGHTS]]]), `${folder}.zip`);
  return `Saved ${folder}.zip to your downloads.`;
}

async function savePair() {
  const both = await files();
  saveBlob(both[CONFIG], CONFIG);
  saveBlob(both[WEIGHTS], WEIGHTS);
  return 'Saved both files to your downloads. Put them into one folder.';
}

async function rename() {
  const { rescorer } = state;
  const to = input('keep-name').value.trim();
  const from = chosen;
  if (!rescorer || to === from || to === '') return '';
  if (adapters().some(({ name }) => name === to)) throw new Error(`an adapter named “${to}” already exists.`);
  const both = await files();
  const active = rescorer.activeAdapter;
  await rescorer.loadAdapter({ ...both }, { name: to, activate: active === from });
  await rescorer.deleteAdapter(from);
  chosen = to;
  changed('adapters');
  await keepAdapter(to, both);
  await dropAdapter(from);
  return `Renamed to “${to}”.`;
}

async function remove() {
  const { rescorer } = state;
  const name = chosen;
  if (!rescorer || !confirm(`Delete the adapter “${name}” from this device?`)) return '';
  const active = rescorer.activeAdapter;
  await rescorer.deleteAdapter(name);
  if (active === name) activate(adapters()[0]?.name ?? null);
  changed('adapters');
  await dropAdapter(name);
  return `Deleted “${name}”.`;
}

/** @param {FileList | null} list */
async function bring(list) {
  const { rescorer } = state;
  const [config, weights] = [CONFIG, WEIGHTS].map((wanted) => [...(list ?? [])].find(({ name }) => name === wanted));
  if (!rescorer) return '';
  if (!config || !weights) throw new Error(`select both files together: ${CONFIG} and ${WEIGHTS}.`);
  const taken = new Set(adapters().map(({ name }) => name));
  let name = 'brought';
  for (let number = 2; taken.has(name); number++) name = `loaded ${number}`;
  const loaded = await rescorer.loadAdapter({ [CONFIG]: config, [WEIGHTS]: weights }, { name });
  changed('adapters');
  await keepAdapter(name, { [CONFIG]: config, [WEIGHTS]: weights });
  return loaded.beta === null ? `Loaded “${name}”. It has no tuned weight for its score yet, so LoRB uses 1.` : `Loaded “${name}” and stored it on this device.`;
}

/** @param {HTMLButtonElement} copy */
async function copyFrom(copy) {
  const text = box(copy.dataset.copy ?? '').textContent ?? '';
  const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
  const [label] = copy.childNodes;
  if (!label) return;
  label.textContent = done ? 'Copied' : 'Copy failed';
  setTimeout(() => (label.textContent = 'Copy'), 2000);
}
