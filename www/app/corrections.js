/** Teach it, part one: the user corrects a recognised utterance, and the pair becomes training data. */

import { announce, area, box, button, el, get } from './dom.js';
import { marked } from './difference.js';
import { listen, recogniser } from './dictation.js';
import { saveBlob } from './files.js';
import { recall, remember } from './memory.js';
import { explain } from './notices.js';
import { fromSpeech } from './package.js';
import { samples } from './samples.js';
import { changed, given, state } from './state.js';

/** @import {List} from './types.js' */

/** @type {List[]} */
let kept = [];
/** The list being corrected. @type {List | null} */
let current = null;
let nextSample = 0;
/** Stops listening. @type {(() => void) | null} */
let stop = null;

/** @returns {readonly List[]} */
export function lessons() {
  return kept;
}

export function startCorrections() {
  const stored = recall('lessons', /** @type {List[]} */ ([]));
  kept = Array.isArray(stored) ? stored : [];
  const possible = recogniser() !== undefined;
  button('dictate').disabled = !possible;
  box('dictate-note').textContent = possible
    ? 'Dictation uses your browser’s own recogniser, which may send the audio to the browser’s vendor. LoRB receives only text and sends nothing.'
    : 'This browser has no speech recogniser for pages. Use the samples instead: utterances with real recognition errors.';
  button('dictate').addEventListener('click', dictate);
  button('next-sample').addEventListener('click', () => void sample());
  get('correct-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    add();
  });
  button('correct-skip').addEventListener('click', close);
  button('lessons-clear').addEventListener('click', clear);
  button('lessons-save').addEventListener('click', () => saveBlob(new Blob([kept.map((list) => `${JSON.stringify(list)}\n`).join('')], { type: 'application/jsonl' }), 'corrections.jsonl'));
  show();
}

function dictate() {
  if (stop) return stop();
  const heard = box('dictate-live');
  let fault = '';
  let result = false;
  listening(true);
  heard.textContent = 'Listening…';
  try {
    stop = listen({
      onPartial: (text) => (heard.textContent = text),
      onResult: (spoken) => {
        result = true;
        heard.textContent = '';
        const guesses = fromSpeech(spoken).filter(({ text }) => text !== '');
        const distinct = guesses.filter(({ text }, at) => guesses.findIndex((other) => other.text === text) === at);
        if (distinct.length === 1) fault = 'The browser returned only one guess. There is nothing to re-rank, so this correction helps little.';
        if (distinct.length) void correct({ id: `dictated-${Date.now()}`, nbest: distinct });
      },
      onFault: (text) => (fault = text),
      onEnd: () => {
        stop = null;
        listening(false);
        heard.textContent = fault || (result ? '' : 'No speech was detected.');
      },
    });
  } catch (error) {
    listening(false);
    heard.textContent = explain(error).detail;
  }
}

/** @param {boolean} on */
function listening(on) {
  button('dictate').setAttribute('aria-pressed', String(on));
  box('dictate-text').textContent = on ? 'Stop' : 'Dictate';
}

async function sample() {
  try {
    // The later lists: the first ones are offered as training data.
    const lists = (await samples('assistant', 'train')).filter((list) => list.ref && list.nbest[0]?.text !== list.ref);
    const list = lists[nextSample++ % lists.length];
    if (list) await correct({ ...list, id: `${list.id}-mine` }, list.ref ?? '');
  } catch (error) {
    box('dictate-live').textContent = explain(error).detail;
  }
}

/** @param {List} list @param {string} [truth] reference of a sample */
async function correct(list, truth) {
  const { ref: _, ...heard } = list;
  current = heard;
  let order = list.nbest.map(({ text }) => text);
  if (state.rescorer?.activeAdapter && !state.busy) {
    try {
      order = (await state.rescorer.rescore(heard, given())).map(({ text }) => text);
    } catch {
      // Without LoRB, use the recogniser's order.
    }
  }
  const text = area('correct-text');
  const guesses = order.map((guess) => {
    const choose = el('button', { type: 'button', 'aria-pressed': 'false' }, marked(guess, order[0] ?? '', 'bad'));
    choose.addEventListener('click', () => {
      text.value = guess;
      for (const other of guesses) other.setAttribute('aria-pressed', String(other === choose));
      text.focus();
    });
    return choose;
  });
  guesses[0]?.setAttribute('aria-pressed', 'true');
  box('correct-guesses').replaceChildren(...guesses);
  text.value = truth ?? order[0] ?? '';
  box('dictate-live').textContent = truth ? `A sample: the speaker said “${truth}”. The text below is already correct.` : '';
  box('correct-form').hidden = false;
  text.focus({ preventScroll: true });
}

function close() {
  current = null;
  box('correct-form').hidden = true;
  box('dictate-live').textContent = '';
}

function add() {
  const ref = area('correct-text').value.trim().replace(/\s+/g, ' ');
  if (!current || ref === '') return;
  // Recognisers differ in letter case; follow that of their output.
  const lower = current.nbest.every(({ text }) => text === text.toLowerCase());
  kept = [...kept, { ...current, ref: lower ? ref.toLowerCase() : ref }];
  store();
  close();
  button('next-sample').focus({ preventScroll: true });
  announce(`Added. ${kept.length} corrections.`);
}

function clear() {
  if (!confirm(`Delete all ${kept.length} corrections?`)) return;
  kept = [];
  store();
}

function store() {
  if (!remember('lessons', kept)) announce('This browser cannot store the corrections. They are lost when you close the page.');
  show();
  changed('lessons');
}

function show() {
  box('lessons-title').textContent = kept.length ? `Your corrections (${kept.length})` : 'Your corrections';
  box('lessons-empty').hidden = kept.length > 0;
  box('lessons-row').hidden = kept.length === 0;
  const rows = kept.map((list, at) => {
    const remove = el('button', { type: 'button', class: 'link', 'aria-label': `Delete “${list.ref}”` }, 'Delete');
    remove.addEventListener('click', () => {
      kept = kept.filter((_, other) => other !== at);
      store();
    });
    return el('li', {}, marked(list.ref ?? '', list.nbest[0]?.text ?? '', 'good'), remove);
  });
  box('lessons').replaceChildren(...rows.reverse());
}
