/** DOM helpers: find, create, announce. */

/**
* The element with this id; an error if it is missing.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function get(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/** @param {string} id */
export const box = (id) => get(id, HTMLElement);
/** @param {string} id */
export const button = (id) => get(id, HTMLButtonElement);
/** @param {string} id */
export const select = (id) => get(id, HTMLSelectElement);
/** @param {string} id */
export const input = (id) => get(id, HTMLInputElement);
/** @param {string} id */
export const area = (id) => get(id, HTMLTextAreaElement);

/**
 * An element with properties and children. `class`, `data-*` and `aria-*` are attributes, `on*` listeners, other names properties.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === 'class' || name.includes('-')) element.setAttribute(name, String(value));
    else Object.assign(element, { [name]: value });
  }
  element.append(...children);
  return element;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string)} children
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** Announces visible changes to screen readers. @param {string} text */
export function announce(text) {
  box('live').textContent = text;
}

/** @param {HTMLSelectElement} element @param {[value: string, label: string][]} options @param {string} [chosen] */
export function fill(element, options, chosen = element.value) {
  element.replaceChildren(...options.map(([value, label]) => el('option', { value }, label)));
  if (options.some(([value]) => value === chosen)) element.value = chosen;
}

/** The checked radio's value. @param {string} name */
export function checked(name) {
  return /** @type {HTMLInputElement | null} */ (document.querySelector(`input[name="${name}"]:checked`))?.value ?? '';
}

export const stillness = matchMedia('(prefers-reduced-motion: reduce)');
