// Re-ranks N-best lists in Node.js, on the CPU path in WebAssembly.
//
//     sh scripts/build-web.sh && npm --prefix examples/node install
//     node examples/node/rescore.mjs BASE ADAPTER [BETA] < lists.jsonl > rescored.jsonl
//
// BASE is a directory with config.json, model.safetensors and tokenizer.json, ADAPTER a PEFT directory. BETA replaces the LM
// weight that was tuned with the adapter; an adapter from PEFT has none.
// Node.js has no WebGPU, so `device` must be 'wasm'. The native program is several times faster; use the package where
// installing a program is not possible.

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';

import { Rescorer } from 'lorb';
import { nodeWorker } from './node-worker.mjs';

/** Files of a directory by name. */
async function folder(directory, names) {
  const entries = names.map(async (name) => [name, await readFile(join(directory, name))]);
  return Object.fromEntries(await Promise.all(entries));
}

const [base, adapter, beta] = process.argv.slice(2);
if (!base || !adapter) {
  console.error('usage: node rescore.mjs BASE ADAPTER [BETA] < lists.jsonl > rescored.jsonl');
  process.exit(2);
}

const rescorer = await Rescorer.fromPretrained(await folder(base, ['config.json', 'tokenizer.json', 'model.safetensors']), {
  device: 'wasm',
  worker: nodeWorker,
  baseName: basename(base),
  adapter: await folder(adapter, ['adapter_config.json', 'adapter_model.safetensors']),
});
try {
  const utterances = await rescorer.parseNbest(await text(process.stdin), 'standard input');
  const options = beta === undefined ? {} : { weights: { beta: Number(beta) } };
  for (const utterance of await rescorer.rerank(utterances, options)) console.log(JSON.stringify(utterance));
} finally {
  await rescorer.dispose();
}
