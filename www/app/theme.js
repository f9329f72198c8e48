/** Colour theme: system, light or dark. */

import { button } from './dom.js';
import { recall, remember } from './memory.js';

const ORDER = ['system', 'light', 'dark'];
const SPOKEN = { system: 'system', light: 'light', dark: 'dark' };

/** @param {string} theme */
function apply(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const label = `Colours: ${SPOKEN[/** @type {keyof typeof SPOKEN} */ (theme)]}`;
  button('theme').setAttribute('aria-label', label);
  button('theme').title = label;
}

export function startTheme() {
  let theme = recall('theme', 'system');
  if (!ORDER.includes(theme)) theme = 'system';
  apply(theme);
  button('theme').addEventListener('click', () => {
    // The first click switches away from the system's theme, so that it has a visible effect.
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const order = dark ? ['system', 'light', 'dark'] : ['system', 'dark', 'light'];
    theme = order[(order.indexOf(theme) + 1) % order.length] ?? 'system';
    apply(theme);
    remember('theme', theme);
  });
}
