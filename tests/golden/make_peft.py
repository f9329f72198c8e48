#!/usr/bin/env python3
"""Generates peft/: adapters as PEFT writes them for the tiny base, of kinds that LoRB does not write, and their scores.

    python make_peft.py [--output DIR]

Each adapter is trained for a few steps on random targets, saved, loaded again by PEFT, and scores are those of the loaded model.
See README.md for the contents.
"""
import argparse
import json
from pathlib import Path

import make_golden as golden  # first: it sets up the environment
import inputs
import torch
import transformers
from peft import AdaLoraConfig, EvaConfig, LoraConfig, PeftModel, get_peft_model, initialize_lora_eva_weights

TEXTS = ["turn off the lights in the kitchen", "turn of the light in the kitchen", "set a timer for ten minutes", "play", ""]
TARGETS = ["query", "value", "intermediate.dense"]


class Scorer(torch.nn.Module):
    """The base with a score head, under the encoder's usual attribute."""

    def __init__(self, base, bias=True):
        super().__init__()
        torch.manual_seed(8)
        self.bert = golden.load_base(base, torch.float32)
        self.config = self.bert.config
        self.score = torch.nn.Linear(self.config.hidden_size, 1, bias=bias)

    def forward(self, input_ids=None, attention_mask=None, **_):
        return self.score(self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]).squeeze(-1)


def batch(encode):
    ids = [encode(text) for text in TEXTS]
    longest = max(map(len, ids))
    mask = torch.tensor([[1] * len(i) + [0] * (longest - len(i)) for i in ids])
    return {"input_ids": torch.tensor([i + [0] * (longest - len(i)) for i in ids]), "attention_mask": mask}


def train(model, data, steps, allocate=False):
    torch.manual_seed(9)
    targets = torch.randn(len(TEXTS))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-2)
    for step in range(steps):
        loss = (model(**data) - targets).square().mean()
        loss.backward()
        optimizer.step()
        if allocate:
            model.base_model.update_and_allocate(step)
        optimizer.zero_grad()


def adapters(base, data):
    """Names, models before training, and numbers of steps."""
    lora = dict(lora_dropout=0.0, bias="none", modules_to_save=["score"])
    torch.manual_seed(10)
    yield "patterns", get_peft_model(Scorer(base), LoraConfig(
        r=4, lora_alpha=8, target_modules=TARGETS, rank_pattern={"query": 2, "layer.1.intermediate.dense": 6},
        alpha_pattern={"value": 3, "^bert.encoder.layer.2.attention.self.query": 20}, **lora)), 4
    yield "patterns-rslora", get_peft_model(Scorer(base), LoraConfig(
        r=2, lora_alpha=3, target_modules=TARGETS, rank_pattern={"value": 5}, alpha_pattern={"value": 7}, use_rslora=True,
        **lora)), 4
    yield "patterns-dora", get_peft_model(Scorer(base), LoraConfig(
        r=3, lora_alpha=5, target_modules=TARGETS, rank_pattern={"query": 1}, use_dora=True, **lora)), 4
    eva = get_peft_model(Scorer(base), LoraConfig(
        r=4, lora_alpha=8, target_modules=["query", "value"], init_lora_weights="eva", eva_config=EvaConfig(rho=2.0), **lora))
    initialize_lora_eva_weights(eva, [data] * 8, show_progress_bar=False)
    yield "eva", eva, 4
    yield "no-bias", get_peft_model(Scorer(base, bias=False), LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, **lora)), 4
    yield "adalora", get_peft_model(Scorer(base), AdaLoraConfig(
        init_r=4, target_r=2, tinit=2, tfinal=4, deltaT=1, total_step=16, lora_alpha=8, target_modules=["query", "value"],
        lora_dropout=0.0, modules_to_save=["score"])), 16


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=here)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.use_deterministic_algorithms(True)
    base, out = here / "tiny", args.output / "peft"
    data = batch(golden.Encoder(base))
    scores = {}
    for name, model, steps in adapters(base, data):
        train(model, data, steps, allocate=name == "adalora")
        folder = out / name
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        (folder / "adapter_model.safetensors").chmod(0o644)
        config = json.loads((folder / "adapter_config.json").read_text())
        # PEFT writes sets, in no fixed order.
        config["target_modules"] = sorted(config["target_modules"])
        golden.write_json(folder / "adapter_config.json", config)
        loaded = PeftModel.from_pretrained(Scorer(base, bias=name != "no-bias"), folder).double().eval()
        with torch.no_grad():
            scores[name] = loaded(**data).tolist()
        print(name, scores[name])
    golden.write_json(out / "scores.json", {"texts": TEXTS, "scores": scores})


if __name__ == "__main__":
    main()
