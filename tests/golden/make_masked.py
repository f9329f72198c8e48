#!/usr/bin/env python3
"""Generates the golden files of pseudo-log-likelihood: the tiny BERT with a random masked-language head in masked/, and
pll.json of the other tiny bases, whose model.safetensors has a head.

    python make_masked.py [BASE ...] [--output DIR]

Every token of a text except [CLS] and [SEP] is masked in turn, in its place; its log probability is that of Transformers'
model with a masked-language head. See README.md for the contents.
"""
import argparse
from pathlib import Path

import make_golden as golden  # first: it sets up the environment
import numpy as np
import torch
import transformers
from transformers import AutoModelForMaskedLM, BertForMaskedLM


def make_base(tiny, out):
    """The tiny base's encoder with a random head, as Transformers writes it."""
    model = BertForMaskedLM(transformers.BertConfig.from_pretrained(tiny))
    model.bert.load_state_dict(golden.load_base(tiny, torch.float32).state_dict())
    model.tie_weights()
    rng = np.random.default_rng(1910)
    with torch.no_grad():
        for name, p in sorted(model.cls.named_parameters()):
            if name == "predictions.decoder.weight":
                continue
            mean = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            p.copy_(golden.normal(rng, tuple(p.shape), 0.15, mean))
    model.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    for name in ("config.json", "generation_config.json"):
        (out / name).unlink(missing_ok=True)


def log_probabilities(model, ids, mask):
    """The log probability of each token between [CLS] and [SEP] with that token masked."""
    count = len(ids) - 2
    if count == 0:
        return torch.zeros(0, dtype=torch.float64)
    rows = torch.tensor(ids).repeat(count, 1)
    at = torch.arange(1, count + 1)
    rows[torch.arange(count), at] = mask
    with torch.no_grad():
        logits = model(rows).logits[torch.arange(count), at]
    return torch.log_softmax(logits, -1)[torch.arange(count), torch.tensor(ids)[at]].double()


def judge(base, tokenizer, out):
    """Writes pll.json for the base in `base`, which has a head."""
    config = transformers.AutoConfig.from_pretrained(tokenizer)
    config._attn_implementation = "eager"
    single = AutoModelForMaskedLM.from_pretrained(base, config=config).eval()
    double = AutoModelForMaskedLM.from_pretrained(base, config=config).double().eval()
    encode = golden.Encoder(tokenizer)
    mask = encode.tok.token_to_id("<mask>" if config.model_type == "roberta" else "[MASK]")
    rows, worst = [], 0.0
    texts = golden.inputs.texts(encode.limit)
    texts += [h["text"] for u in golden.inputs.lists() for h in u["nbest"]]
    for text in dict.fromkeys(texts):
        ids = encode(text)
        found, found32 = log_probabilities(double, ids, mask), log_probabilities(single, ids, mask)
        worst = max(worst, (found - found32).abs().max().item() if len(found) else 0.0)
        rows.append({"text": text, "pll": found.sum().item(), "tokens": [round(v, 9) for v in found.tolist()]})
    golden.write_json_rows(out / "pll.json", rows)
    print(out.name, len(rows), "texts; float32 differs by", worst, "a token")


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", nargs="*", default=list(golden.MAKERS), help="all by default")
    parser.add_argument("--output", type=Path, default=here)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.use_deterministic_algorithms(True)
    if "tiny" in args.bases:
        out = args.output / "masked"
        out.mkdir(parents=True, exist_ok=True)
        make_base(here / "tiny", out)
        judge(out, here / "tiny", out)
    for base in args.bases:
        if base != "tiny":
            out = args.output / base
            out.mkdir(parents=True, exist_ok=True)
            judge(here / base, here / base, out)


if __name__ == "__main__":
    main()
