#!/usr/bin/env python3
"""Generates torch/: files of torch.save, and the same tensors as safetensors.

    python make_torch.py [--output DIR]

The base has the configuration and vocabulary of src/base/tests and random weights. See README.md for the contents.
"""
import argparse
import collections
import json
from pathlib import Path

import make_golden as golden  # first: it sets up the environment
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

CONFIG = {"model_type": "bert", "vocab_size": 14, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
          "intermediate_size": 12, "max_position_embeddings": 10, "type_vocab_size": 2}


def model(kind, seed):
    made = kind(BertConfig(**CONFIG))
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, p in sorted(made.named_parameters()):
            p.copy_(golden.normal(rng, tuple(p.shape), 0.3, 1.0 if name.endswith("LayerNorm.weight") else 0.0))
    return made.eval()


def layouts(state):
    """The same values as views of storages that have other layouts or more elements."""
    changed = collections.OrderedDict()
    for name, tensor in state.items():
        if name.endswith("query.weight"):
            tensor = tensor.t().contiguous().t()
        elif name.endswith(("key.weight", "key.bias")):
            whole = torch.cat([torch.full_like(tensor, 7.0), tensor, torch.full_like(tensor, 9.0)])
            tensor = whole[len(tensor):2 * len(tensor)]
        elif name.endswith("intermediate.dense.weight"):
            whole = torch.cat([tensor, torch.full_like(tensor, 5.0)], 1)
            tensor = whole[:, :tensor.shape[1]]
        elif name.endswith("output.dense.bias"):
            tensor = torch.stack([tensor, tensor + 1], 1)[:, 0]
        changed[name] = tensor
    return changed


def types(state):
    """Other types of elements, in turn."""
    kinds = [torch.float64, torch.float16, torch.bfloat16, torch.float32]
    floats = [name for name, tensor in state.items() if tensor.is_floating_point()]
    return collections.OrderedDict(
        (name, tensor.to(kinds[floats.index(name) % 4]) if name in floats else tensor) for name, tensor in state.items())


def write(tensors, path):
    """Values as float32 safetensors, each in its own storage."""
    save_file({name: t.to(torch.float32).contiguous().clone() for name, t in tensors.items()}, path)
    path.chmod(0o644)


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=here)
    args = parser.parse_args()
    out = args.output / "torch"
    out.mkdir(parents=True, exist_ok=True)
    transformers.logging.set_verbosity_error()

    masked = model(BertForMaskedLM, 1).state_dict()
    assert masked["cls.predictions.decoder.weight"].data_ptr() == masked["bert.embeddings.word_embeddings.weight"].data_ptr()
    torch.save(layouts(masked), out / "layouts.bin")
    write(masked, out / "layouts.safetensors")

    classifier = types(model(BertForSequenceClassification, 2).state_dict())
    torch.save(classifier, out / "types.bin", pickle_protocol=4)
    write(classifier, out / "types.safetensors")

    state = {"module." + name: tensor for name, tensor in model(BertForSequenceClassification, 3).state_dict().items()}
    shards = {"pytorch_model-00001-of-00002.bin": {}, "pytorch_model-00002-of-00002.bin": {}}
    names = list(shards)
    for at, (name, tensor) in enumerate(state.items()):
        shards[names[at % 3 // 2]][name] = tensor
    places = {name: file for file, tensors in shards.items() for name in tensors}
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": places}
    golden.write_json(out / "pytorch_model.bin.index.json", index)
    for file, tensors in shards.items():
        torch.save(tensors, out / file)
        write(tensors, out / file.replace("pytorch_model", "model").replace(".bin", ".safetensors"))
    renamed = {name: file.replace("pytorch_model", "model").replace(".bin", ".safetensors") for name, file in places.items()}
    golden.write_json(out / "model.safetensors.index.json", {**index, "weight_map": renamed})
    write(state, out / "whole.safetensors")

    adapter = load_file(here / "tiny" / "adapter_rslora" / "adapter_model.safetensors")
    torch.save(adapter, out / "adapter_model.bin")


if __name__ == "__main__":
    main()
