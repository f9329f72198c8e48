/** Try it: a list, its ranking before and after. */

import { area, announce, box, button, checked, el, fill, get, input, select } from './dom.js';
import { wordErrors } from './difference.js';
import { plural } from './format.js';
import { dropped, pasted } from './lists.js';
import { aborted, explain } from './notices.js';
import { firstPass } from './package.js';
import { saveBlob } from './files.js';
import { showLegend, showRanking, showTable } from './ranking.js';
import { samples } from './samples.js';
import { activate, adapters, changed, given, on, state, weights } from './state.js';

/** @import {List, Ranked} from './types.js' */

/** Milliseconds before a waiting message is shown. */
const SLOW = 400;
/** Maximum number of lists in the picker. */
const MOST_SHOWN = 200;
const NOTES = {
  assistant: 'Commands to a voice assistant: synthetic voices, a real recogniser’s ten best guesses.',
  dictation: 'Dictated messages and notes: synthetic voices, a real recogniser’s ten best guesses.',
  own: 'Your own lists stay in this tab.',
};

/** @type {List[]} */
let shown = [];
/** @type {List | null} */
let current = null;
/** The order by the recogniser and by LoRB. @type {{before: Ranked[], after: Ranked[] | null}} */
let orders = { before: [], after: null };
/** Only the result of the latest request is shown. */
let turn = 0;

export function startTry() {
  for (const radio of document.querySelectorAll('input[name="domain"]')) radio.addEventListener('change', () => void openDomain());
  for (const radio of document.querySelectorAll('input[name="order"]')) radio.addEventListener('change', () => draw(true));
  button('try-use').addEventListener('click', () => void take((onNote) => pasted(area('try-text').value, input('try-ref').value, onNote), ''));
  input('try-file').addEventListener('change', () => takeFile(input('try-file').files?.[0]));
  select('try-adapter').addEventListener('change', () => activate(select('try-adapter').value || null));
  button('try-all').addEventListener('click', () => void rescoreFile());
  acceptDrops();
  on(['model', 'adapters', 'active'], () => {
    adapterChoice();
    void rescore();
  });
  on(['busy'], () => {
    adapterChoice();
    if (state.busy === null) void rescore();
    else hint();
  });
  void openDomain();
}

function acceptDrops() {
  const target = box('try');
  const zone = box('try-drop');
  target.addEventListener('dragover', (event) => {
    event.preventDefault();
    zone.classList.add('over');
  });
  target.addEventListener('dragleave', () => zone.classList.remove('over'));
  target.addEventListener('drop', (event) => {
    event.preventDefault();
    zone.classList.remove('over');
    const own = get('try-domain', HTMLFieldSetElement).querySelector('input[value="own"]');
    if (own instanceof HTMLInputElement) own.checked = true;
    box('try-own').hidden = false;
    takeFile(event.dataTransfer?.files[0]);
  });
}

/** @param {File | undefined} file */
function takeFile(file) {
  if (file) void take((onNote) => dropped(file, onNote), file.name);
}

/** @param {(onNote: (note: string) => void) => Promise<List[]>} read @param {string} name */
async function take(read, name) {
  try {
    /** @type {string[]} */
    const notes = [];
    const lists = await read((note) => notes.push(note));
    if (lists.length === 0) throw new Error(`${name || 'The input'} contains no lists.`);
    state.file = lists;
    state.fileName = name;
    changed('file');
    list(lists, [`${plural(lists.length, 'list')}${name ? ` in ${name}` : ''}.`, ...notes.map((note) => `Note: ${note}.`)].join(' '));
  } catch (error) {
    const { headline, detail } = explain(error);
    box('try-domain-note').textContent = `${headline} ${detail}`;
    announce(`${headline} ${detail}`);
  }
}

async function openDomain() {
  const domain = /** @type {keyof typeof NOTES} */ (checked('domain'));
  box('try-own').hidden = domain !== 'own';
  if (domain === 'own') return list(state.file, state.fileName ? `${plural(state.file.length, 'list')} in ${state.fileName}.` : NOTES.own);
  try {
    const lists = await samples(domain, 'try');
    if (checked('domain') === domain) list(lists, NOTES[domain]);
  } catch (error) {
    box('try-domain-note').textContent = `The samples could not be loaded. ${explain(error).detail}`;
  }
}

/** @param {List[]} lists @param {string} note */
function list(lists, note) {
  shown = lists.slice(0, MOST_SHOWN);
  const more = lists.length > shown.length ? ` Showing the first ${MOST_SHOWN}.` : '';
  box('try-domain-note').textContent = note + more;
  const rows = shown.map((utterance, at) => {
    const radio = el('input', { type: 'radio', name: 'list', value: String(at), checked: at === 0, onchange: () => open(at) });
    const first = utterance.nbest[0]?.text ?? '';
    const state = utterance.ref ? describe(wordErrors(utterance.ref, first)) : plural(utterance.nbest.length, 'guess', 'guesses');
    return el('label', {}, radio, el('span', {}, first, el('small', {}, state)));
  });
  box('try-list').replaceChildren(...rows);
  box('try-list').scrollTop = 0;
  open(0);
}

/** @param {number} errors */
function describe(errors) {
  return errors === 0 ? 'correct' : plural(errors, 'wrong word');
}

/** @param {number} at */
function open(at) {
  current = shown[at] ?? null;
  orders = { before: current ? firstPass(current) : [], after: null };
  draw(false);
  void rescore();
}

async function rescore() {
  const { rescorer } = state;
  const mine = ++turn;
  orders.after = null;
  if (!current || !rescorer || rescorer.activeAdapter === null || state.busy) return draw(false);
  const slow = setTimeout(() => (box('try-verdict').textContent = 'Re-ranking…'), SLOW);
  try {
    const after = await rescorer.rescore(current, given());
    if (mine !== turn) return;
    orders.after = after;
    radio('after').disabled = false;
    radio('after').checked = true;
    draw(true);
  } catch (error) {
    if (mine !== turn || aborted(error)) return;
    const { headline, detail } = explain(error);
    box('try-verdict').textContent = `${headline} ${detail}`;
  } finally {
    clearTimeout(slow);
  }
}

/** @param {'before' | 'after'} value */
function radio(value) {
  return /** @type {HTMLInputElement} */ (document.querySelector(`input[name="order"][value="${value}"]`));
}

/** @param {boolean} glide */
function draw(glide) {
  radio('after').disabled = orders.after === null;
  if (orders.after === null) radio('before').checked = true;
  const rescored = checked('order') === 'after' && orders.after !== null;
  const ranked = rescored && orders.after ? orders.after : orders.before;
  const said = box('try-said');
  said.replaceChildren();
  if (current?.ref) said.append(el('span', { class: 'label' }, 'Said'), current.ref);
  if (current) showRanking(box('ranking'), current, ranked, { weights: rescored ? weights() : null, glide });
  else box('ranking').replaceChildren();
  showLegend(box('try-legend'), rescored ? weights() : null, Boolean(current?.ref));
  showTable(get('try-table', HTMLTableElement), ranked);
  box('try-legend').hidden = box('try-table-box').hidden = current === null;
  box('try-all-row').hidden = checked('domain') !== 'own' || state.file.length < 2;
  button('try-all').disabled = orders.after === null;
  verdict(rescored);
  hint();
}

/** @param {boolean} rescored */
function verdict(rescored) {
  const line = box('try-verdict');
  line.replaceChildren();
  const first = orders.before[0];
  const best = rescored ? orders.after?.[0] : undefined;
  if (!current || !first) return;
  if (!best) {
    if (current.ref) line.append(`The recogniser’s first guess: ${describe(wordErrors(current.ref, first.text))}.`);
    return;
  }
  const from = first.index === best.index ? 0 : orders.before.findIndex(({ index }) => index === best.index);
  const moved = from === 0 ? 'LoRB keeps the recogniser’s first guess' : `LoRB moves guess ${from + 1} to the top`;
  if (!current.ref) return line.append(`${moved}.`);
  const [was, is] = [wordErrors(current.ref, first.text), wordErrors(current.ref, best.text)];
  const change = is < was ? el('strong', {}, `${was} → ${is} wrong ${is === 1 ? 'word' : 'words'}`) : is > was ? `${was} → ${is} wrong words: worse in this case` : is === 0 ? 'correct before and after' : `${plural(is, 'wrong word')}, as before`;
  line.append(`${moved}: `, change, '.');
}

function hint() {
  const line = box('try-hint');
  const text = !current
    ? 'Paste guesses or drop a file on the left, and they appear here.'
    : !state.rescorer
      ? 'This is the recogniser’s order. Load the model above to see LoRB’s.'
      : state.busy
        ? 'The model is busy; the new order appears when it is free.'
        : state.rescorer.activeAdapter === null
          ? 'No adapter is selected, so this is the recogniser’s order.'
          : '';
  line.textContent = text;
  line.hidden = text === '';
}

function adapterChoice() {
  const chooser = select('try-adapter');
  const active = state.rescorer?.activeAdapter ?? '';
  fill(chooser, [...adapters().map(({ name }) => /** @type {[string, string]} */ ([name, name])), ['', 'none: the recogniser’s order']], active);
  chooser.value = active;
  chooser.disabled = !state.rescorer || state.busy !== null;
}

async function rescoreFile() {
  const { rescorer } = state;
  if (!rescorer) return;
  const said = box('try-all-text');
  button('try-all').disabled = true;
  try {
    const onProgress = (/** @type {number} */ done, /** @type {number} */ total) => (said.textContent = `${done} of ${plural(total, 'guess', 'guesses')}`);
    const started = performance.now();
    const lines = (await rescorer.rerank(state.file, { ...given(), onProgress })).map((list) => JSON.stringify(list));
    const guesses = state.file.reduce((sum, { nbest }) => sum + nbest.length, 0);
    said.textContent = `${plural(guesses, 'guess', 'guesses')} in ${((performance.now() - started) / 1000).toFixed(1)} s; saved the new lists to your downloads.`;
    saveBlob(new Blob([`${lines.join('\n')}\n`], { type: 'application/jsonl' }), `rescored-${state.fileName.replace(/\.gz$/, '') || 'lists.jsonl'}`);
  } catch (error) {
    said.textContent = explain(error).detail;
  } finally {
    button('try-all').disabled = orders.after === null;
  }
}
