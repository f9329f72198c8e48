/** The benchmark page. */

import { area, box, button, el, get } from '../app/dom.js';
import { openGpu } from './gpu.js';
import { measure, settingsOf } from './measure.js';
import { tables } from './tables.js';

/** @import {Gpu} from './gpu.js' */
/** @import {Row} from './measure.js' */

const settings = settingsOf(location.search);
/** @type {Row[]} */
let rows = [];

/** @param {string} text */
const say = (text) => (box('said').textContent = text);

/** @param {'problem' | 'good' | ''} kind @param {string} text */
function notice(kind, text) {
  box('notices').append(el('p', { class: 'notice', 'data-kind': kind }, text));
}

/** @param {Gpu} gpu */
function facts({ info, timestamps }) {
  const { vendor, architecture, device, description } = info;
  return { vendor, architecture, device, description, timestamps };
}

/** @param {Gpu} gpu */
function report(gpu) {
  return JSON.stringify({ report: 'lorb benchmark page', settings, browser: navigator.userAgent, adapter: facts(gpu), rows }, null, 1);
}

/** @param {Gpu} gpu */
function show(gpu) {
  box('results').hidden = false;
  box('tables').replaceChildren(...tables(rows));
  area('json').value = report(gpu);
}

/** @param {Gpu} gpu */
async function start(gpu) {
  const abort = new AbortController();
  rows = [];
  button('start').hidden = true;
  button('stop').hidden = false;
  button('stop').onclick = () => abort.abort();
  box('progress').hidden = false;
  say('Measuring.');
  try {
    await measure(
      gpu,
      settings,
      (row) => {
        rows.push(row);
        show(gpu);
      },
      (share, what) => {
        get('bar', HTMLProgressElement).value = share;
        box('now').textContent = what;
      },
      abort.signal,
    );
    say('Done. Copy the results if someone asked you for them.');
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    say('Stopped. What was measured is below.');
  } finally {
    button('start').hidden = false;
    button('start').textContent = 'Measure again';
    button('stop').hidden = true;
    box('progress').hidden = true;
  }
}

async function open() {
  const opened = await openGpu().catch((error) => ({ missing: `The GPU cannot be opened: ${error instanceof Error ? error.message : error}` }));
  if ('missing' in opened) {
    say('Nothing can be measured here.');
    notice('problem', opened.missing);
    return;
  }
  const { gpu } = opened;
  void gpu.device.lost.then(({ reason, message }) => {
    if (reason !== 'destroyed') notice('problem', `The browser lost the GPU: ${message}`);
  });
  const known = Object.entries(facts(gpu)).map(([name, value]) => [name, value === true ? 'yes' : value === false ? 'no' : value]);
  box('facts').replaceChildren(...known.filter(([, value]) => value !== '').map(([name, value]) => el('div', {}, el('dt', {}, String(name)), el('dd', {}, String(value)))));
  button('start').disabled = false;
  button('start').onclick = () => void start(gpu);
  button('copy').onclick = async () => {
    await navigator.clipboard.writeText(area('json').value).catch(() => area('json').select());
    say('Copied.');
  };
}

void open();
