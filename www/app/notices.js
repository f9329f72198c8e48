/** What went wrong or is worth knowing, in words that say what to do. */

import { el } from './dom.js';

/** Headline by the error's name; the package's own message stands below it. @type {Record<string, string>} */
const HEADLINES = {
  WebGPUNotAvailableError: 'There is no WebGPU here. Choose “CPU” above: it gives the same numbers, only slower.',
  DeviceRefusedError: 'This GPU did not compute rightly or lacks something, so LoRB does not use it. Choose “CPU” above.',
  DeviceLostError: 'The GPU went away and starting it again did not help. What was tuned so far is kept: load the model again and resume.',
  WorkerDiedError: 'The computation broke off. Load the model again; kept adapters and the unfinished run are still there.',
  IntegrityError: 'The download arrived damaged and was thrown away. Try again.',
  QuotaError: 'This device has no room left for the page. Free some space, or forget adapters you no longer need.',
  UnsupportedModelError: 'This model cannot be used: LoRB needs a BERT with config.json, a tokenizer and model.safetensors.',
  SourceError: 'The model could not be fetched.',
  AdapterError: 'This adapter does not fit.',
  BadInputError: 'That cannot be used as it is.',
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
 * Shows a notice until it is dismissed; one with the same key takes its place.
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
