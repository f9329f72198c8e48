/** Errors and notes, with advice on what to do. */

import { el } from './dom.js';

/** Headline by error name; the package's own message is shown below it. @type {Record<string, string>} */
const HEADLINES = {
  MissingFeatureError: 'This browser lacks something that LoRB needs.',
  WebGPUNotAvailableError: 'WebGPU is not available. Choose “CPU” above: results are the same, but slower.',
  DeviceRefusedError: 'This GPU returns wrong results or lacks a required feature, so LoRB does not use it. Choose “CPU” above.',
  DeviceLostError: 'The GPU was lost and could not be restarted. The run is stored: load the model again and resume.',
  WorkerDiedError: 'The computation crashed. Load the model again. Stored adapters and the unfinished run are intact.',
  IntegrityError: 'The download was damaged and has been discarded. Try again.',
  QuotaError: 'There is no storage space left for this page. Free some space, or delete adapters you no longer need.',
  UnsupportedModelError: 'This model cannot be used: LoRB needs a BERT or DistilBERT with config.json, a tokenizer and model.safetensors.',
  SourceError: 'The model could not be downloaded.',
  AdapterError: 'This adapter is invalid or belongs to another model.',
  BadInputError: 'The input is invalid.',
};

/** @param {unknown} error */
export function aborted(error) {
  return error instanceof Error && error.name === 'AbortError';
}

/** @param {unknown} error @returns {{headline: string, detail: string}} */
export function explain(error) {
  if (!(error instanceof Error)) return { headline: 'Something went wrong.', detail: String(error) };
  if (error.name === 'SourceError' && !navigator.onLine) {
    return { headline: 'You are offline, and this model is not on this device yet. Files from your disk work offline.', detail: error.message };
  }
  return { headline: HEADLINES[error.name] ?? 'Something went wrong.', detail: error.message };
}

/**
* Shows a notice until it is dismissed or replaced by one with the same key.
 * @param {HTMLElement} where
 * @param {{kind?: 'note' | 'problem' | 'good', headline: string, detail?: string, key?: string}} what
 */
export function notify(where, { kind = 'note', headline, detail, key = headline }) {
  const dismiss = el('button', { type: 'button', class: 'link', 'aria-label': `Dismiss: ${headline}` }, 'Dismiss');
  const text = el('div', {}, el('strong', {}, headline));
  if (detail) text.append(el('span', { class: 'detail' }, detail));
  const notice = el('div', { class: 'notice', 'data-kind': kind, 'data-key': key, role: kind === 'problem' ? 'alert' : 'status' }, text, dismiss);
  dismiss.addEventListener('click', () => notice.remove());
  withdraw(where, key);
  where.append(notice);
}

/** @param {HTMLElement} where @param {string} key */
export function withdraw(where, key) {
  for (const child of [...where.children]) if (child instanceof HTMLElement && child.dataset.key === key) child.remove();
}

/** @param {HTMLElement} where @param {unknown} error */
export function notifyError(where, error) {
  if (aborted(error)) return;
  notify(where, { kind: 'problem', key: 'error', ...explain(error) });
}
