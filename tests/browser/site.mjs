// Serves the package, the golden bases and a blank page from one server that can inject faults.

import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { serve } from '../../web/test/server.mjs';

export const root = fileURLToPath(new URL('../../', import.meta.url));

const BLANK = `<!doctype html><html lang="en"><title>LoRB</title><link rel="icon" href="data:,">
<script type="module">
  import * as lorb from '/lorb/index.js';
  window.lorb = lorb;
</script>`;

/** The directory of MiniLM, which tests/run.sh downloads. */
export function minilm() {
  return process.env.LORB_MINILM ?? execFileSync('sh', [join(root, 'scripts/fetch-minilm.sh')], { encoding: 'utf8' }).trim();
}

export async function site() {
  if (!exists(join(root, 'web/dist/wasm/lorb_bg.wasm'))) throw new Error('web/dist/wasm is not built: sh scripts/build-web.sh');
  const places = { '/lorb/': join(root, 'web/dist/'), '/golden/': join(root, 'tests/golden/'), '/minilm/': minilm() + '/' };
  return serve(files(BLANK, places));
}

/** The files to serve: a page at `/`, and folders by prefix. */
export function files(page, places) {
  return (path) => {
    if (path === '/') return Buffer.from(page);
    const place = Object.keys(places).find((prefix) => path.startsWith(prefix));
    if (!place) return undefined;
    const file = join(places[place], normalize('/' + decodeURIComponent(path.slice(place.length))));
    return exists(file) ? readFileSync(file) : undefined;
  };
}

function exists(file) {
  try {
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The lists of the golden files. */
export function lists(base) {
  const lines = readFileSync(join(root, 'tests/golden', base, 'lists.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}
