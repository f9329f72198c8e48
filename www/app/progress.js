/** Shows the package's progress events as a bar and a line of text. */

import { box, get } from './dom.js';
import { duration, size } from './format.js';
import { notify } from './notices.js';

/** @import {LoadEvent} from './types.js' */

/** Seconds over which the speed is averaged. */
const WINDOW = 4;

/** @param {number | null} expected bytes of all files, if known */
export function watchLoading(expected) {
  const bar = get('model-bar', HTMLProgressElement);
  const line = box('model-progress-text');
  /** @type {Map<string, {loaded: number, total: number}>} */
  const files = new Map();
  /** @type {{at: number, loaded: number}[]} */
  let marks = [];
  /** Whether the network was needed. */
  let network = false;
  bar.removeAttribute('value');
  line.textContent = 'Starting…';

  const draw = () => {
    const all = [...files.values()];
    const loaded = all.reduce((sum, file) => sum + file.loaded, 0);
    const total = Math.max(expected ?? 0, all.reduce((sum, file) => sum + file.total, 0));
    if (total === 0) return;
    const now = performance.now() / 1000;
    marks = [...marks.filter((mark) => now - mark.at < WINDOW), { at: now, loaded }];
    const first = marks[0] ?? { at: now, loaded };
    const speed = now > first.at ? (loaded - first.loaded) / (now - first.at) : 0;
    bar.value = (100 * loaded) / total;
    const parts = [`${network ? 'Downloading' : 'Reading'} ${size(loaded)} of ${size(total)}`];
    if (network && speed > 0 && loaded < total) parts.push(`${size(speed)}/s`, `${duration((total - loaded) / speed)} left`);
    line.textContent = parts.join(' · ');
    if (loaded >= total) {
      bar.removeAttribute('value');
      line.textContent = 'Checking the file and copying it to the device…';
    }
  };

  /** @param {LoadEvent} event */
  return (event) => {
    const notices = box('model-notices');
    if (event.status === 'download') network = true;
    if (event.status === 'progress') {
      files.set(event.file, event);
      draw();
    }
    if (event.status === 'retry') line.textContent = `The connection broke; resuming at ${size(event.loaded)}…`;
    if (event.status === 'cache') {
      const headline = 'The browser cannot store the model; it stays in memory until you close the page.';
      notify(notices, { headline, detail: event.reason });
    }
    if (event.status === 'recover') notify(notices, { headline: 'The GPU was lost and is being restarted.', detail: event.reason, key: 'recover' });
  };
}
