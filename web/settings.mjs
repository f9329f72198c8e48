// Writes js/settings.ts, the options of training, from the core's definition of them:
//
//     node settings.mjs
//
// `npm ci`, `npm run build` and `npm run check` do it too.

import { readFileSync, writeFileSync } from 'node:fs';

const settings = JSON.parse(readFileSync(new URL('../src/train/settings.json', import.meta.url), 'utf8'));
const TYPES = { f32: 'number', f64: 'number', usize: 'number', u64: 'number', bool: 'boolean' };

/** The type in TypeScript; other names are types of types.ts. */
function type(rust) {
  const inner = rust.replace(/^Option<(.*)>$/, '$1');
  return TYPES[inner] ?? inner;
}

function comment({ help, detail, range, default: value, default_note: note }) {
  const sentences = [`${help}.`, detail, range && `Range: \`${range}\`.`, `Default: ${note ?? value}.`];
  return sentences.filter(Boolean).join(' ');
}

const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const fields = settings.map((setting) => `  /** ${comment(setting)} */\n  ${camel(setting.name)}?: ${type(setting.type)};\n`);
const named = [...new Set(settings.map((setting) => type(setting.type)))].filter((name) => !Object.values(TYPES).includes(name));
const text = `/** Written by settings.mjs from src/train/settings.json. Change that file instead. */

import type { ${named.sort().join(', ')} } from './types.js';

/** Settings of a training run, as the flags of \`lorb train\`. */
export interface TrainSettings {
${fields.join('')}}
`;
writeFileSync(new URL('js/settings.ts', import.meta.url), text);
