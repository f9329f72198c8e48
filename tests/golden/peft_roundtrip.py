#!/usr/bin/env python3
"""Exchanges adapters between LoRB and PEFT in both directions and compares their scores.

    peft_roundtrip.py check --base DIR --adapter DIR --scores FILE [--tolerance 1e-4]
        Loads an adapter from LoRB with PeftModel.from_pretrained, once on the bare encoder with the head applied
        manually and once on an encoder with a linear layer `score` (not for a prefix, for which PEFT stores no other
        module), and compares the score of every text with FILE. Exit code 1 if one differs.

    peft_roundtrip.py make --base DIR --output DIR [--seed 0] [--rank 4] [--targets NAME ..] [--pattern REGEX] [--wrap]
        Creates an adapter with PEFT, with random values so that it changes the scores, and the file expected.jsonl
        with texts and scores. --wrap names the encoder as models with heads do (`bert`); --pattern sets target_modules
        to a regular expression.

FILE holds JSON lines {"text": "...", "lm": -1.25}. Scores are the head's output at [CLS]. Made for the versions in
requirements.txt in this folder.
"""

import argparse
import json
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertModel,
    DistilBertModel,
    ElectraModel,
    ModernBertModel,
    RobertaModel,
)

# By model_type: the bare encoder, the options that leave out its pooler, and the names of all linear layers.
BERT_LINEARS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
ENCODERS = {
    "bert": (BertModel, {"add_pooling_layer": False}, BERT_LINEARS),
    "electra": (ElectraModel, {}, BERT_LINEARS),
    "roberta": (RobertaModel, {"add_pooling_layer": False}, BERT_LINEARS),
    "modernbert": (ModernBertModel, {}, ["Wqkv", "attn.Wo", "Wi", "mlp.Wo"]),
    "distilbert": (DistilBertModel, {}, ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"]),
}
TEXTS = [
    "play the next song",
    "pay the next song",
    "turn off the lights in the kitchen please",
    "turn of the lights in the kitten please",
    "",
    "A",
    "wake me up at seven thirty tomorrow morning, and remind me to call the café!",
    "i would like to " + "very " * 60 + "much sleep",
    "unaffable zyxwvut 12345 don't",
]


def bare(base):
    """The encoder as a user loads it for PEFT."""
    encoder, options, _ = ENCODERS[AutoConfig.from_pretrained(base).model_type]
    return encoder.from_pretrained(base, **options)


def scorer(base):
    """The encoder with the score head as a separate module."""
    encoder, options, _ = ENCODERS[AutoConfig.from_pretrained(base).model_type]

    class Scorer(encoder):
        def __init__(self, config):
            super().__init__(config, **options)
            self.score = torch.nn.Linear(config.hidden_size, 1)

        def scores(self, inputs):
            return self.score(self(**inputs).last_hidden_state[:, 0]).squeeze(-1)

    return Scorer.from_pretrained(base)


class Wrapped(torch.nn.Module):
    """The encoder under its name in models with heads, and the head."""

    def __init__(self, base):
        super().__init__()
        encoder = bare(base)
        self.config = encoder.config
        self.name = encoder.base_model_prefix
        self.add_module(self.name, encoder)
        self.score = torch.nn.Linear(self.config.hidden_size, 1)

    def scores(self, inputs):
        return self.score(getattr(self, self.name)(**inputs).last_hidden_state[:, 0]).squeeze(-1)


@torch.no_grad()
def score_each(base, texts, score):
    """Scores text by text, so that padding has no effect."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    config = AutoConfig.from_pretrained(base)
    # RoBERTa's positions start after the padding id.
    limit = config.max_position_embeddings - (config.pad_token_id + 1 if config.model_type == "roberta" else 0)
    options = dict(return_tensors="pt", truncation=True, max_length=limit, padding=False)
    return [score(tokenizer(text, **options)).item() for text in texts]


def compare(name, texts, found, expected, tolerance):
    worst = max(abs(a - b) for a, b in zip(found, expected))
    print(f"{name}: {len(texts)} texts, largest difference {worst:.2e} (allowed {tolerance:.0e})")
    wrong = [i for i, (a, b) in enumerate(zip(found, expected)) if not abs(a - b) <= tolerance]
    for i in wrong[:5]:
        print(f"  {texts[i][:60]!r}: PEFT {found[i]:.6f}, LoRB {expected[i]:.6f}")
    return not wrong


def check(args):
    lines = [json.loads(line) for line in args.scores.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines:
        sys.exit(f"{args.scores}: no scores to compare")
    texts, expected = [line["text"] for line in lines], [line["lm"] for line in lines]
    tensors = load_file(args.adapter / "adapter_model.safetensors")
    prefix = "prompt_embeddings" in tensors
    head = "base_model.score" if prefix else "base_model.model.score"
    weight, bias = tensors[f"{head}.weight"], tensors[f"{head}.bias"]

    plain = PeftModel.from_pretrained(bare(args.base), args.adapter).eval()
    all_loaded(plain, tensors, head=False)

    def by_hand(inputs):
        return plain(**inputs).last_hidden_state[:, 0] @ weight.T + bias

    right = compare("bare encoder, head by hand", texts, score_each(args.base, texts, by_hand), expected, args.tolerance)

    if not prefix:
        right &= check_whole(args, texts, expected, tensors)

    base = bare(args.base).eval()
    unadapted = score_each(args.base, texts, lambda i: base(**i).last_hidden_state[:, 0] @ weight.T + bias)
    moved = max(abs(a - b) for a, b in zip(unadapted, expected))
    print(f"the adapter moves the scores by up to {moved:.2e}")
    if moved <= 10 * args.tolerance:
        print("  too little: agreement would prove nothing about the adapter")
        right = False
    sys.exit(0 if right else 1)


def check_whole(args, texts, expected, tensors):
    whole = PeftModel.from_pretrained(scorer(args.base), args.adapter).eval()
    all_loaded(whole, tensors, head=True)
    found = score_each(args.base, texts, whole.base_model.model.scores)
    return compare("encoder with `score`", texts, found, expected, args.tolerance)


def all_loaded(model, tensors, head):
    """PEFT ignores keys without a module; check that every key was loaded, and nothing else."""
    arrived = {}
    for name, value in model.state_dict().items():
        if any(part in name for part in ("lora_", ".modules_to_save.", "prompt_encoder.")):
            name = name.replace(".default.", ".").removesuffix(".default").replace(".modules_to_save.", ".")
            name = name.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
            arrived[name.replace("prompt_encoder.embedding.weight", "prompt_embeddings")] = value
    wanted = {name: value for name, value in tensors.items() if head or ".score." not in name}
    if arrived.keys() != wanted.keys():
        sys.exit(f"PEFT and the file disagree on tensors: {sorted(arrived.keys() ^ wanted.keys())[:6]}")
    for name, value in wanted.items():
        if not torch.equal(arrived[name], value):
            sys.exit(f"PEFT loaded {name} with values that differ from the file")


def make(args):
    torch.manual_seed(args.seed)
    model = Wrapped(args.base) if args.wrap else scorer(args.base)
    settings = LoraConfig(
        r=args.rank,
        lora_alpha=args.alpha,
        target_modules=args.pattern or args.targets or ENCODERS[model.config.model_type][2],
        modules_to_save=["score"],
        use_rslora=args.rslora,
        layers_to_transform=args.layers,
    )
    model = get_peft_model(model, settings).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                # Large enough to change every score well above the tolerance.
                value.copy_(torch.randn_like(value) * 0.05)
    model.save_pretrained(args.output)
    scores = score_each(args.base, TEXTS, model.base_model.model.scores)
    with open(args.output / "expected.jsonl", "w", encoding="utf-8") as out:
        for text, lm in zip(TEXTS, scores):
            out.write(json.dumps({"text": text, "lm": lm}, ensure_ascii=False) + "\n")
    print(f"{args.output}: {len(TEXTS)} scores, {min(scores):.4f} to {max(scores):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    path = pathlib.Path

    checking = commands.add_parser("check", help="LoRB's adapter in PEFT")
    checking.add_argument("--base", required=True)
    checking.add_argument("--adapter", required=True, type=path)
    checking.add_argument("--scores", required=True, type=path)
    checking.add_argument("--tolerance", type=float, default=1e-4)
    checking.set_defaults(run=check)

    making = commands.add_parser("make", help="PEFT's adapter for LoRB")
    making.add_argument("--base", required=True)
    making.add_argument("--output", required=True, type=path)
    making.add_argument("--seed", type=int, default=0)
    making.add_argument("--rank", type=int, default=4)
    making.add_argument("--alpha", type=float, default=8)
    making.add_argument("--targets", nargs="+", help="all linear layers by default")
    making.add_argument("--pattern")
    making.add_argument("--layers", nargs="+", type=int)
    making.add_argument("--rslora", action="store_true")
    making.add_argument("--wrap", action="store_true")
    making.set_defaults(run=make)

    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
