/** Before and after on held-out lists. */

import { box, button, el, get, select, svg } from './dom.js';
import { marked, wordErrors } from './difference.js';
import { percent, plural } from './format.js';
import { aborted, explain } from './notices.js';
import { samples } from './samples.js';
import { adapters, given, occupy, on, state } from './state.js';

/** @import {List, Report} from './types.js' */

const MOST_SHOWN = 5;
const ROW = 46;

export function startCompare() {
  get('compare-form', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    void compare();
  });
  on(['file'], () => {
    const option = [...select('compare-data').options].find(({ value }) => value === 'file');
    const usable = state.file.filter(({ ref }) => ref).length;
    if (!option) return;
    option.disabled = usable === 0;
    option.textContent = usable === 0 ? 'Your file' : `${state.fileName || 'Your list'}, ${plural(usable, 'list')}`;
  });
  on(['busy', 'model', 'adapters'], () => (button('compare').disabled = !state.rescorer || state.busy !== null || adapters().length === 0));
}

async function compare() {
  const { rescorer } = state;
  const name = select('keep-adapter').value;
  if (!rescorer || state.busy || !name) return;
  const bar = get('compare-bar', HTMLProgressElement);
  const said = box('compare-said');
  occupy('comparing');
  bar.hidden = false;
  bar.value = 0;
  said.textContent = 'Comparing…';
  box('compare-chart').replaceChildren();
  box('compare-examples').replaceChildren();
  showWarnings([]);
  try {
    const which = select('compare-data').value;
    const lists = which === 'file' ? state.file.filter(({ ref }) => ref) : await samples(which, 'held');
    const report = await rescorer.evaluate(lists, { adapter: name, ...given(name), onProgress: (done, total) => (bar.value = (100 * done) / total) });
    said.replaceChildren(...verdict(report));
    showWarnings(report.warnings);
    showBars(report);
    showExamples(lists, report);
  } catch (error) {
    if (!aborted(error)) said.textContent = `${explain(error).headline} ${explain(error).detail}`;
  } finally {
    bar.hidden = true;
    occupy(null);
  }
}

/** @param {Report} report @returns {(Node | string)[]} */
function verdict({ first_pass: before, rescored, relative_gain: gain, relative_gain_interval: interval, utterances, weights }) {
  if (!rescored || gain === null || before.wer === null) return ['These lists have no reference words.'];
  const rates = el('strong', {}, `${percent(before.wer)} → ${percent(rescored.wer)}`);
  const lists = ` on ${plural(utterances, 'list')}`;
  if (weights?.beta === 0 && !weights.gamma) return ['Word error rate ', rates, `${lists}: tuning on the dev lists set this adapter's weight to 0, because it did not reduce the errors. Train it on more lists or for more epochs.`];
  if (!interval) return ['Word error rate ', rates, `${lists}.`];
  const range = `95 % interval ${percent(interval.low, 0)} to ${percent(interval.high, 0)}`;
  if (interval.low > 0) return ['Word error rate ', rates, `${lists}: ${percent(gain, 0)} fewer errors (${range}).`];
  if (interval.high < 0) return ['Word error rate ', rates, `${lists}: ${percent(-gain, 0)} more errors (gain: ${range}). This adapter makes these lists worse.`];
  return ['Word error rate ', rates, `${lists}. The difference is not significant (gain: ${range}).`];
}

/** Signs that the numbers mislead, such as references without the case and punctuation of the guesses. @param {string[]} warnings */
function showWarnings(warnings) {
  const list = box('compare-warnings');
  list.replaceChildren(...warnings.map((warning) => el('li', {}, warning)));
  list.hidden = warnings.length === 0;
}

/** @param {Report} report */
function showBars({ first_pass: before, rescored, oracle }) {
  const where = box('compare-chart');
  const rows = [
    { name: 'Recogniser', kind: 'first', system: before },
    { name: 'With the adapter', kind: 'rescored', system: rescored ?? before },
    { name: 'Oracle', kind: 'oracle', system: oracle },
  ];
  const width = Math.max(240, where.clientWidth);
  const height = rows.length * ROW + 20;
  const longest = Math.max(0.01, ...rows.map(({ system }) => system.wer_interval?.high ?? system.wer ?? 0));
  const x = (/** @type {number} */ rate) => ((width - 64) * rate) / longest;
  const spoken = rows.map(({ name, system }) => `${name}: ${percent(system.wer)}${system.wer_interval ? `, 95 % interval ${percent(system.wer_interval.low)} to ${percent(system.wer_interval.high)}` : ''}`).join('; ');
  const drawing = svg('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': `Word error rates. ${spoken}.` });
  rows.forEach(({ name, kind, system }, at) => {
    const y = at * ROW;
    const end = x(system.wer ?? 0);
    const { low, high } = system.wer_interval ?? { low: system.wer ?? 0, high: system.wer ?? 0 };
    drawing.append(
      svg('text', { x: 0, y: y + 12, class: 'name' }, name),
      svg('rect', { class: `bar-${kind}`, x: 0, y: y + 19, width: Math.max(1, end), height: 14, rx: 3 }),
      svg('path', { class: 'whisker', fill: 'none', d: `M${x(low)} ${y + 22}v8M${x(low)} ${y + 26}H${x(high)}M${x(high)} ${y + 22}v8` }),
      svg('text', { class: 'value', x: x(high) + 8, y: y + 31 }, percent(system.wer)),
    );
  });
  drawing.append(svg('text', { x: 0, y: height - 4 }, 'Word error rate; the lines are 95 % bootstrap intervals over lists.'));
  where.replaceChildren(drawing);
}

/** @param {List[]} lists @param {Report} report */
function showExamples(lists, { choices, conventions }) {
  const changes = lists.flatMap((list, at) => {
    const before = best(list);
    const after = list.nbest[choices[at] ?? 0]?.text ?? '';
    if (!list.ref || before === after) return [];
    return [{ ref: list.ref, before, after, gain: wordErrors(list.ref, before) - wordErrors(list.ref, after) }];
  });
  const better = changes.filter(({ gain }) => gain > 0).sort((a, b) => wordErrors(a.ref, a.after) - wordErrors(b.ref, b.after) || b.gain - a.gain);
  const worse = changes.filter(({ gain }) => gain < 0).sort((a, b) => a.gain - b.gain);
  const pairs = (/** @type {typeof changes} */ shown) => el('div', { class: 'pairs' }, ...shown.slice(0, MOST_SHOWN).map(({ ref, before, after }) =>
    el('div', { class: 'pair' }, line('Before', marked(before, ref, 'bad')), line('After', marked(after, ref, 'bad')), line('Said', el('span', {}, ref)))));
  const where = box('compare-examples');
  where.replaceChildren();
  if (conventions.normalize !== 'none' && better.length + worse.length) where.append(el('p', { class: 'small quiet' }, 'Here, words are compared as they are written.'));
  if (better.length) where.append(el('h4', {}, `${plural(better.length, 'list')} better${better.length > MOST_SHOWN ? `, ${MOST_SHOWN} of them` : ''}`), pairs(better));
  if (worse.length) where.append(el('details', {}, el('summary', {}, `${plural(worse.length, 'list')} worse`), pairs(worse)));
}

/** The recogniser's choice: the best score; the first of equal ones. @param {List} list */
function best(list) {
  const scored = list.nbest.every(({ score }) => typeof score === 'number');
  const first = list.nbest.reduce((top, guess) => (scored && (guess.score ?? 0) > (top.score ?? 0) ? guess : top), list.nbest[0] ?? { text: '' });
  return first.text;
}

/** @param {string} label @param {HTMLElement} content */
function line(label, content) {
  return el('p', {}, el('span', {}, label), content);
}
