#!/usr/bin/env python3
"""Generates the golden files of the methods other than LoRA, by PyTorch on the tiny bases: gradients and scores of the BERT in
methods/, of the others in BASE/methods/.

    python make_methods.py [BASE ...] [--output DIR]

A method is a function that prepares an encoder and returns its trainable tensors by name. See
README.md for the contents.
"""
import argparse
import functools
import json
import random
from pathlib import Path

import make_golden as golden  # first: it sets up the environment
import numpy as np
import torch
import transformers
from peft import AdaLoraConfig, LoraConfig, PrefixTuningConfig, get_peft_model
from peft.tuners.adalora.layer import RankAllocator
from torch import nn

OUTPUTS = {kind: f"{kind}/methods" for kind in golden.MAKERS} | {"tiny": "methods"}
WIDTH = 5  # of a bottleneck
LENGTH = 3  # of a prefix


class Bottleneck(nn.Module):
    """y + up(gelu(down(y))), after Houlsby et al."""

    def __init__(self, hidden):
        super().__init__()
        self.down, self.up = nn.Linear(hidden, WIDTH), nn.Linear(WIDTH, hidden)

    def forward(self, y):
        return y + self.up(nn.functional.gelu(self.down(y)))


def head(bert):
    return bert, {}


def bitfit(bert):
    return bert, {name: p for name, p in bert.named_parameters() if name.endswith(".bias")}


def full(bert):
    return bert, dict(bert.named_parameters())


# Where the layers are, and in each the two linear layers that a bottleneck comes behind, by model_type.
BEHIND = {kind: ("encoder.layer", {"attention.output": "dense", "output": "dense"}) for kind in golden.ENCODERS}
BEHIND["distilbert"] = ("transformer.layer", {"attention": "out_lin", "ffn": "lin2"})
BEHIND["modernbert"] = ("layers", {"attn": "Wo", "mlp": "Wo"})
# It has no biases, and its rotary positions give none to virtual tokens.
UNSUITED = {"modernbert": ["bitfit", "prefix"]}


def houlsby(bert):
    trained = {}
    layers, behind = BEHIND[bert.config.model_type]
    for number, layer in enumerate(bert.get_submodule(layers)):
        for path, linear in behind.items():
            part, bottleneck = layer.get_submodule(path), Bottleneck(bert.config.hidden_size)
            setattr(part, linear, nn.Sequential(getattr(part, linear), bottleneck))
            trained |= {f"{layers}.{number}.{path}.adapter.{name}": p for name, p in bottleneck.named_parameters()}
    return bert, trained


def prefix(bert):
    """PEFT's own: BERT counts the prefix as past, so texts begin at position LENGTH. DistilBERT takes no past keys and
    values, so PEFT cannot run it there; PrefixedDistil computes the same."""
    if bert.config.model_type == "distilbert":
        model = PrefixedDistil(bert)
        return model, {"prompt_embeddings": model.prompt}
    config = PrefixTuningConfig(num_virtual_tokens=LENGTH, task_type="FEATURE_EXTRACTION")
    model = get_peft_model(bert, config)
    return model, {"prompt_embeddings": model.prompt_encoder["default"].embedding.weight}


class PrefixedDistil(nn.Module):
    """A DistilBERT with keys and values of LENGTH tokens before those of every layer, as columns of one tensor in the
    order that PEFT has for BERT: a layer's keys, then its values. Texts begin at position LENGTH."""

    def __init__(self, bert):
        super().__init__()
        self.bert, self.config = bert, bert.config
        self.prompt = nn.Parameter(torch.zeros(LENGTH, 2 * bert.config.n_layers * bert.config.dim))
        for number, layer in enumerate(bert.transformer.layer):
            layer.attention.forward = functools.partial(self.attend, layer.attention, number)

    def attend(self, attention, number, hidden_states, attention_mask=None, **_):
        count, heads = len(hidden_states), attention.n_heads
        keys, values = self.prompt.chunk(2 * self.config.n_layers, dim=1)[2 * number : 2 * number + 2]
        split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
        before = lambda rows, x: split(torch.cat([rows.expand(count, -1, -1), x], 1))
        query = split(attention.q_lin(hidden_states))
        keys, values = before(keys, attention.k_lin(hidden_states)), before(values, attention.v_lin(hidden_states))
        scores = query @ keys.transpose(2, 3) * attention.scaling
        if attention_mask is not None:
            # The same rows for every token: the prefix is never hidden.
            scores = scores + nn.functional.pad(attention_mask, (LENGTH, 0))
        context = (scores.softmax(-1) @ values).transpose(1, 2).flatten(2)
        return attention.out_lin(context), None

    def forward(self, input_ids, attention_mask):
        last = self.config.max_position_embeddings - 1
        positions = (torch.arange(input_ids.shape[1]) + LENGTH).clamp(max=last)[None]
        return self.bert(input_ids=input_ids, attention_mask=attention_mask, position_ids=positions)


def dora(bert):
    settings = adapter_settings(bert)
    model = get_peft_model(bert, LoraConfig(lora_dropout=0.0, bias="none", use_dora=True, **settings))
    plain = lambda name: name.removeprefix(golden.PREFIX).replace(".default.", ".").replace(
        "lora_magnitude_vector.weight", "lora_magnitude_vector")
    return model, {plain(name): p for name, p in model.named_parameters() if p.requires_grad}


def adapter_settings(bert):
    kind = bert.config.model_type
    return golden.ADAPTERS[{"bert": "tiny", "distilbert": "distil"}.get(kind, kind)]["adapter"]


def adalora(bert):
    settings = adapter_settings(bert)
    config = AdaLoraConfig(init_r=4, target_r=2, lora_alpha=settings["lora_alpha"], total_step=12, tinit=2, tfinal=3,
                           target_modules=settings["target_modules"])
    model = get_peft_model(bert, config)
    plain = lambda name: name.removeprefix(golden.PREFIX).removesuffix(".default")
    return model, {plain(name): p for name, p in model.named_parameters() if p.requires_grad}


METHODS = {f.__name__: f for f in (head, bitfit, full, houlsby, prefix, dora, adalora)}


class Rescorer(nn.Module):
    """The base with the trainable tensors of a method, and the score head."""

    def __init__(self, base, method, dtype, seed):
        super().__init__()
        self.bert = golden.load_base(base, torch.float32)
        self.bert.requires_grad_(False)
        self.score = nn.Linear(self.bert.config.hidden_size, 1)
        self.bert, named = METHODS[method](self.bert)
        named |= {f"score.{name}": p for name, p in self.score.named_parameters()}
        self.tensors = dict(sorted(named.items()))
        rng = np.random.default_rng(seed)
        with torch.no_grad():
            for name, p in self.tensors.items():
                p.requires_grad_(True)
                own = method in ("bitfit", "full") and not name.startswith("score.") or "magnitude" in name
                # Base tensors change a little; new ones are large enough to change the scores.
                p.copy_(p + golden.normal(rng, tuple(p.shape), 0.02) if own else golden.normal(rng, tuple(p.shape), 0.3))
        self.to(dtype).eval()

    def trained(self):
        return self.tensors

    def forward(self, token_ids):
        cls = golden.cls_vectors(self.bert, token_ids)
        return self.score(cls).squeeze(-1), cls


def write_adapter(model, out, name, prefix):
    """The directory that PEFT writes, and the score head as it would write it with modules_to_save."""
    model.bert.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    tensors = golden.load_file(out / "adapter_model.safetensors")
    tensors |= {f"{prefix}score.{name}": p for name, p in model.score.named_parameters()}
    golden.save(tensors, out / "adapter_model.safetensors")
    config = json.loads((out / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": name, "modules_to_save": ["score"]}
    if "target_modules" in config:
        config["target_modules"] = sorted(config["target_modules"])  # PEFT writes a set, in no fixed order
    golden.write_json(out / "adapter_config.json", config)


def orthogonality(tensors):
    """AdaLoRA's regulariser before its weight: as in PEFT, the mean over all A and B."""
    off = lambda gram: torch.linalg.norm(gram - torch.eye(len(gram), dtype=gram.dtype))
    terms = [off(p @ p.T) for k, p in tensors.items() if "lora_A" in k]
    terms += [off(p.T @ p) for k, p in tensors.items() if "lora_B" in k]
    return sum(terms) / len(terms)


def allocation():
    """PEFT's RankAllocator on two modules of given numbers: what is kept after every one of twelve steps."""
    steps, rng = 12, np.random.default_rng(7)
    model = nn.Module()
    model.layers = nn.ModuleList()
    for shape in ((4, 6, 5), (4, 3, 7)):  # rank, inputs, outputs
        layer = nn.Module()
        for name, size in (("lora_A", (shape[0], shape[1])), ("lora_E", (shape[0], 1)), ("lora_B", (shape[2], shape[0]))):
            holder = nn.ParameterDict({"default": nn.Parameter(torch.zeros(size, dtype=torch.float64))})
            setattr(layer, name, holder)
        model.layers.append(layer)
    config = AdaLoraConfig(init_r=4, target_r=2, total_step=steps, tinit=1, tfinal=3, deltaT=1, target_modules=["x"])
    allocator = RankAllocator(model, config, "default")
    allocator.set_total_step(steps)
    record = []
    for step in range(1, steps + 1):
        given = {}
        for name, p in model.named_parameters():
            values = rng.standard_normal((2, *p.shape)).round(3)
            p.data, p.grad = torch.tensor(values[0]), torch.tensor(values[1])
            given[name.removesuffix(".default")] = {"values": values[0].ravel().tolist(), "gradient": values[1].ravel().tolist()}
        budget = None
        if step <= steps - config.tfinal:
            budget, _ = allocator.update_and_allocate(model, step, force_mask=step == steps - config.tfinal)
        kept = {name.removesuffix(".default"): (p != 0).int().ravel().tolist()
                for name, p in model.named_parameters() if "lora_E" in name}
        record.append({"step": step, "given": given, "budget": budget, "kept": kept if budget is not None else None})
    return {"steps": steps, "tinit": config.tinit, "tfinal": config.tfinal, "interval": config.deltaT, "record": record}


def make(method, number, base, out):
    out.mkdir(parents=True, exist_ok=True)
    lists = golden.Lists(golden.inputs.lists(), golden.Encoder(base))
    double, single = (Rescorer(base, method, dtype, 200 + number) for dtype in (torch.float64, torch.float32))
    golden.save(single.trained(), out / "values.safetensors")
    if hasattr(single.bert, "save_pretrained") and method in ("prefix", "dora", "adalora"):
        write_adapter(single, out / "adapter", base.name, {"prefix": "base_model."}.get(method, golden.PREFIX))
    found, found32 = (golden.gradients(model, lists, ["mwer_cor"])["mwer_cor"] for model in (double, single))
    golden.save(found["gradients"], out / "gradients.safetensors")
    if method == "adalora":
        regulariser = orthogonality(double.trained())
        double.zero_grad()
        regulariser.backward()
        golden.save({k: p.grad for k, p in double.trained().items() if "lora_E" not in k and "lora_" in k},
                    out / "orthogonality.safetensors")
        golden.write_json(out / "orthogonality.json", {"value": regulariser.item()})
        if base.name == "tiny":  # it does not depend on the base
            golden.write_json(out / "allocation.json", allocation())
    golden.write_json(out / "index.json", {
        "method": method,
        "settings": {"houlsby": {"width": WIDTH}, "prefix": {"length": LENGTH}}.get(method, {}),
        "parameters": sum(p.numel() for p in single.trained().values()),
        **{key: found[key] for key in ("total", "ranking", "correlation", "cor_weight", "gradient_norm")},
        "lm": {u["id"]: found["lm"][span].tolist() for u, span in zip(lists.lists, lists.spans)},
        "float32_differs_by": golden.worst(found32["gradients"], found["gradients"]),
    })


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", nargs="*", default=list(OUTPUTS), help="all by default")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    random.seed(0)
    torch.manual_seed(0)
    for base in args.bases:
        output = args.output / OUTPUTS[base]
        for number, method in enumerate(METHODS):
            if method in UNSUITED.get(base, []):
                continue
            make(method, number, Path(__file__).parent / base, output / method)
            index = json.loads((output / method / "index.json").read_text())
            print(base, method, index["parameters"], index["total"], index["float32_differs_by"])


if __name__ == "__main__":
    main()
