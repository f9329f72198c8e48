#!/usr/bin/env python3
"""Generates the golden files of pseudo-log-likelihood, in masked/: the tiny base with a random masked-language-model head.

    python make_masked.py [--output DIR]

Every token of a text except [CLS] and [SEP] is masked in turn, in its place; its log probability is that of
Transformers' BertForMaskedLM. See README.md for the contents.
"""
import argparse
from pathlib import Path

import make_golden as golden  # first: it sets up the environment
import numpy as np
import torch
import transformers
from transformers import BertForMaskedLM


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "masked")
    out = parser.parse_args().output
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.use_deterministic_algorithms(True)
    tiny = Path(__file__).parent / "tiny"
    out.mkdir(parents=True, exist_ok=True)
    make_base(tiny, out)
    config = transformers.BertConfig.from_pretrained(tiny)
    config._attn_implementation = "eager"
    single = BertForMaskedLM.from_pretrained(out, config=config).eval()
    double = BertForMaskedLM.from_pretrained(out, config=config).double().eval()
    encode = golden.Encoder(tiny)
    mask = encode.tok.token_to_id("[MASK]")
    rows, worst = [], 0.0
    texts = golden.inputs.texts(config.max_position_embeddings)
    texts += [h["text"] for u in golden.inputs.lists() for h in u["nbest"]]
    for text in dict.fromkeys(texts):
        ids = encode(text)
        found, found32 = log_probabilities(double, ids, mask), log_probabilities(single, ids, mask)
        worst = max(worst, (found - found32).abs().max().item() if len(found) else 0.0)
        rows.append({"text": text, "pll": found.sum().item(), "tokens": [round(v, 9) for v in found.tolist()]})
    golden.write_json_rows(out / "pll.json", rows)
    print(len(rows), "texts; float32 differs by", worst, "a token")


if __name__ == "__main__":
    main()
