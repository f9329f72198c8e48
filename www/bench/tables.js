/** The results as tables. */

import { el } from '../app/dom.js';

/** @import {Row} from './measure.js' */

/** @param {unknown} value */
function number(value) {
  if (typeof value !== 'number' || !Number.isFinite(value)) return '–';
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** @typedef {[head: string, cell: (row: Row, all: Row[]) => string, kind?: 'text']} Column */

/** @param {Row[]} all */
const peak = (all) => Number(all.find(({ row }) => row === 'peak')?.['gflop_s'] ?? NaN);

/** @type {[title: string, rows: string[], columns: Column[]][]} */
const TABLES = [
  [
    'Launches',
    ['launch'],
    [
      ['a submission', (row) => `${row['per_submit']}, ${row['new_parameters'] ? 'new' : 'the same'} parameters`],
      ['µs a launch', (row) => number(row['microseconds'])],
      ['of which script', (row) => number(row['script_microseconds'])],
      ['on the GPU', (row) => number(row['device_microseconds'])],
    ],
  ],
  [
    'Memory and arithmetic',
    ['upload', 'read', 'peak', 'copy'],
    [
      ['what', (row) => ({ upload: `upload of ${Number(row['bytes']) / 1024} KiB`, read: 'read of one number', peak: 'multiply-adds in registers', copy: 'copy, read and written' })[row.row] ?? row.row],
      ['µs', (row) => number(row['microseconds'])],
      ['GB/s', (row) => number(row['gb_s'])],
      ['GFLOP/s', (row) => number(row['gflop_s'])],
    ],
  ],
  [
    'Training and rescoring',
    ['step'],
    [
      ['step', (row) => `${row['step']}, ${row['batch_tokens']} tokens`],
      ['ms', (row) => number(row['milliseconds'])],
      ['least', (row) => number(row['least_milliseconds'])],
      ['hypotheses/s', (row) => number(row['hypotheses_s'])],
    ],
  ],
  [
    'Fastest tile of each matrix product',
    ['product'],
    [
      ['product', (row) => `${row['rows']}, ${row['inputs']} → ${row['outputs']}`],
      ['variant', (row) => String(row['variant'])],
      ['µs', (row) => number(row['device_microseconds'] ?? row['microseconds'])],
      ['GFLOP/s', (row) => number(row['gflop_s'])],
      ['of peak', (row, all) => `${number((100 * Number(row['gflop_s'])) / peak(all))} %`],
    ],
  ],
  [
    'Not measured',
    ['left_out'],
    [
      ['what', (row) => String(row['what']), 'text'],
      ['why', (row) => String(row['why']), 'text'],
    ],
  ],
];

/** Of the products, only the fastest variant of each kernel and size. @param {Row[]} rows */
function fastest(rows) {
  /** @type {Map<string, Row>} */
  const best = new Map();
  for (const row of rows) {
    const key = [row['kernel'], row['rows'], row['inputs'], row['outputs']].join();
    const before = best.get(key);
    if (!before || Number(row['gflop_s']) > Number(before['gflop_s'])) best.set(key, row);
  }
  return [...best.values()];
}

/** @param {Row[]} all */
export function tables(all) {
  return TABLES.flatMap(([title, kinds, columns]) => {
    const rows = all.filter(({ row }) => kinds.includes(row));
    if (rows.length === 0) return [];
    const head = el('tr', {}, ...columns.map(([name, , kind]) => el('th', { scope: 'col', class: kind }, name)));
    const body = (kinds.includes('product') ? fastest(rows) : rows).map((row) => el('tr', {}, ...columns.map(([, cell, kind]) => el('td', { class: kind }, cell(row, all)))));
    const table = el('table', {}, el('thead', {}, head), el('tbody', {}, ...body));
    return [el('section', {}, el('h3', {}, title), el('div', { class: 'scroll', tabIndex: 0, role: 'region', 'aria-label': title }, table))];
  });
}
