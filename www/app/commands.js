/** Commands that use an adapter in other tools. */

import { BUILT_IN } from './samples.js';

/** @param {string} base @param {string} folder */
export function nativeCommand(base, folder) {
  return `unzip ${folder}.zip
lorb rescore --model ${base} \\
    --adapter ${folder} lists.jsonl -o rescored.jsonl`;
}

/** @param {string} base @param {string} folder */
export function peftSnippet(base, folder) {
  return `from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

base = ${base === BUILT_IN ? '"BASE"  # Transformers cannot read the built-in model: int4' : JSON.stringify(base)}
encoder = AutoModel.from_pretrained(base)
model = PeftModel.from_pretrained(encoder, "${folder}").eval()
head = load_file("${folder}/adapter_model.safetensors")
w = head["base_model.model.score.weight"]
b = head["base_model.model.score.bias"]

tokenizer = AutoTokenizer.from_pretrained(base)
tokens = tokenizer("turn on the light", return_tensors="pt")
score = model(**tokens).last_hidden_state[:, 0] @ w.T + b`;
}
