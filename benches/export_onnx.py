#!/usr/bin/env python3
"""Exports a base for transformers.js, for benches/beside_transformersjs.mjs:

    python3 benches/export_onnx.py BASE OUTPUT

BASE is a Hugging Face directory. OUTPUT gets config.json, the tokenizer's files and onnx/model.onnx: input_ids, attention_mask and
token_type_ids to last_hidden_state, batch and sequence of any size. Needs the packages torch, transformers and onnx.
"""

import pathlib
import shutil
import sys

import torch
from transformers import BertModel

if len(sys.argv) != 3:
    sys.exit("usage: python3 benches/export_onnx.py BASE OUTPUT")
base, output = map(pathlib.Path, sys.argv[1:])
NAMES = ["input_ids", "attention_mask", "token_type_ids"]


class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bert = BertModel.from_pretrained(base, add_pooling_layer=False, attn_implementation="eager").eval()

    def forward(self, *inputs):
        return self.bert(**dict(zip(NAMES, inputs))).last_hidden_state


(output / "onnx").mkdir(parents=True, exist_ok=True)
ids = torch.ones(2, 8, dtype=torch.long)
torch.onnx.export(
    Encoder(),
    (ids, ids, ids * 0),
    str(output / "onnx/model.onnx"),
    input_names=NAMES,
    output_names=["last_hidden_state"],
    dynamic_axes={name: {0: "batch", 1: "sequence"} for name in [*NAMES, "last_hidden_state"]},
    opset_version=17,
    dynamo=False,
)
for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
    shutil.copy(base / name, output)
