// The last step of `npm run build`: copies the licences, and indents by one space what the compiler indents by four. That is
// 2 % of the package's JavaScript for brotli, and line numbers stay.

import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const place = (path) => new URL(path, import.meta.url);
for (const name of ['LICENSE-MIT', 'LICENSE-APACHE']) copyFileSync(place(`../${name}`), place(name));
for (const name of readdirSync(place('dist'))) {
  if (!name.endsWith('.js')) continue;
  const text = readFileSync(place(`dist/${name}`), 'utf8');
  writeFileSync(place(`dist/${name}`), text.replace(/^(?: {4})+/gm, (indent) => ' '.repeat(indent.length / 4)));
}
