/** The run as two small charts over steps: loss above, dev WER below. */

import { svg } from './dom.js';
import { percent } from './format.js';

/** @import {TrainMessage} from './types.js' */
/** @typedef {{step: number, wer: number, best: boolean}} Evaluation */

const HEIGHT = 112;
const LEFT = 50;
const RIGHT = 12;
const TOP = 26;
const BETWEEN = 46;
/** Weight of the newest loss in the smoothed line. */
const SMOOTHING = 0.15;

export class RunChart {
  #where;
  #steps = 1;
  /** @type {{step: number, loss: number}[]} */
  #losses = [];
  /** @type {Evaluation[]} */
  #evaluations = [];
  /** @type {{first: number, oracle: number} | null} */
  #bounds = null;
  /** Steps at which the device was lost. @type {number[]} */
  #breaks = [];
  #drawn = 0;

  /** @param {HTMLElement} where */
  constructor(where) {
    this.#where = where;
    new ResizeObserver(() => this.#soon()).observe(where);
  }

  reset() {
    this.#losses = [];
    this.#evaluations = [];
    this.#breaks = [];
    this.#bounds = null;
    this.#soon();
  }

  /** @param {TrainMessage} message */
  push(message) {
    if (message.type === 'started') this.#steps = Math.max(1, message.steps);
    else if (message.type === 'step') {
      this.#steps = message.steps;
      this.#losses.push({ step: message.step, loss: message.loss });
    } else if (message.type === 'evaluated') {
      this.#bounds = { first: message.wer_first, oracle: message.wer_oracle };
      this.#evaluations.push({ step: message.step, wer: message.wer, best: message.best });
    } else if (message.type === 'recovered') {
      this.#losses = this.#losses.filter(({ step }) => step <= message.step);
      this.#evaluations = this.#evaluations.filter(({ step }) => step <= message.step);
      this.#breaks.push(message.step);
    } else return;
    this.#soon();
  }

  /** Draws at most once per frame. */
  #soon() {
    if (this.#drawn) return;
    this.#drawn = requestAnimationFrame(() => {
      this.#drawn = 0;
      this.#draw();
    });
  }

  #draw() {
    const width = Math.max(240, this.#where.clientWidth);
    const height = TOP + HEIGHT + BETWEEN + HEIGHT + 26;
    const x = (/** @type {number} */ step) => LEFT + ((width - LEFT - RIGHT) * step) / this.#steps;
    const figure = svg('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': this.#summary() });
    this.#loss(figure, width, x);
    this.#wer(figure, width, x);
    const foot = TOP + HEIGHT + BETWEEN + HEIGHT + 20;
    figure.append(text(LEFT, foot, '0'), text(width - RIGHT, foot, `step ${this.#steps}`, 'end'));
    for (const step of this.#breaks) figure.append(svg('line', { class: 'lost', x1: x(step), x2: x(step), y1: TOP, y2: foot - 20 }));
    this.#where.replaceChildren(figure);
  }

  /** @param {Element} figure @param {number} width @param {(step: number) => number} x */
  #loss(figure, width, x) {
    const values = this.#losses.map(({ loss }) => loss);
    const [low, high] = padded(values, 0.02);
    const y = (/** @type {number} */ value) => TOP + HEIGHT * (1 - (value - low) / (high - low));
    figure.append(text(LEFT, TOP - 10, 'Training loss', 'start', 'title'));
    if (values.length) scale(figure, width, low, high, y, (value) => value.toFixed(2));
    else frame(figure, width, TOP);
    let mean = values[0] ?? 0;
    const smooth = this.#losses.map(({ step, loss }) => `${x(step).toFixed(1)},${y((mean += SMOOTHING * (loss - mean))).toFixed(1)}`);
    figure.append(line('raw', this.#losses.map(({ step, loss }) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`)), line('smooth', smooth));
  }

  /** @param {Element} figure @param {number} width @param {(step: number) => number} x */
  #wer(figure, width, x) {
    const top = TOP + HEIGHT + BETWEEN;
    figure.append(text(LEFT, top - 10, 'Word error rate on dev lists', 'start', 'title'));
    if (!this.#bounds) return frame(figure, width, top);
    const { first, oracle } = this.#bounds;
    const [low, high] = padded([first, oracle, ...this.#evaluations.map(({ wer }) => wer)], 0.005);
    const y = (/** @type {number} */ value) => top + HEIGHT * (1 - (value - low) / (high - low));
    scale(figure, width, low, high, y, (value) => percent(value, 0));
    for (const [value, name] of /** @type {[number, string][]} */ ([[first, 'recogniser'], [oracle, 'oracle']])) {
      figure.append(svg('line', { class: 'bound', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), text(width - RIGHT, y(value) - 4, name, 'end'));
    }
    figure.append(line('wer', this.#evaluations.map(({ step, wer }) => `${x(step).toFixed(1)},${y(wer).toFixed(1)}`)));
    for (const { step, wer, best } of this.#evaluations) figure.append(svg('circle', { class: best ? 'dot best' : 'dot', cx: x(step), cy: y(wer), r: 4 }));
  }

  #summary() {
    const last = this.#losses.at(-1);
    if (!last) return 'Chart of the run, still empty.';
    const best = this.#evaluations.filter(({ best }) => best).at(-1);
    const wer = best && this.#bounds ? ` Best dev word error rate ${percent(best.wer)}, first pass ${percent(this.#bounds.first)}, oracle ${percent(this.#bounds.oracle)}.` : '';
    return `Chart of the run: loss ${this.#losses[0]?.loss.toFixed(3)} at first, ${last.loss.toFixed(3)} at step ${last.step} of ${this.#steps}.${wer}`;
  }
}

/** Bounds with a margin. @param {number[]} values @param {number} least */
function padded(values, least) {
  if (values.length === 0) return /** @type {[number, number]} */ ([0, 1]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const air = Math.max(least, 0.1 * (high - low));
  return /** @type {[number, number]} */ ([low - air, high + air]);
}

/** @param {Element} figure @param {number} width @param {number} low @param {number} high @param {(value: number) => number} y @param {(value: number) => string} label */
function scale(figure, width, low, high, y, label) {
  const step = nice((high - low) / 3);
  for (let at = Math.ceil(low / step); at * step <= high; at++) {
    const value = at * step;
    figure.append(svg('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }), text(LEFT - 8, y(value) + 4, label(value), 'end'));
  }
}

/** 1, 2 or 5 times a power of ten. @param {number} rough */
function nice(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * (rough / power < 1.5 ? 1 : rough / power < 3.5 ? 2 : 5);
}

/** @param {Element} figure @param {number} width @param {number} top */
function frame(figure, width, top) {
  figure.append(svg('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: top + HEIGHT, y2: top + HEIGHT }));
}

/** @param {number} x @param {number} y @param {string} content @param {string} [anchor] @param {string} [style] */
function text(x, y, content, anchor = 'start', style = '') {
  return svg('text', { x, y, 'text-anchor': anchor, class: style }, content);
}

/** @param {string} style @param {string[]} points */
function line(style, points) {
  return svg('polyline', { class: style, points: points.join(' ') });
}
