#!/usr/bin/env python3
"""Generates combined/: two LoRA adapters for the tiny base, and the scores of what PEFT's add_weighted_adapter makes of them.

    python make_combined.py [--output DIR]

The adapters have different scales. PEFT does not combine score heads, so they are added here, with the same weights.
See README.md for the contents.
"""
import argparse
import json
from pathlib import Path

import make_golden as golden  # first: it sets up the environment
import make_peft
import torch
import transformers
from peft import LoraConfig, get_peft_model

WEIGHTS = [0.75, 0.5]


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=here)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.use_deterministic_algorithms(True)
    base, out = here / "tiny", args.output / "combined"
    data = make_peft.batch(golden.Encoder(base))
    model, heads = None, []
    for name, alpha, rslora, seed in [("one", 8, False, 10), ("two", 3, True, 20)]:
        lora = dict(r=4, lora_alpha=alpha, target_modules=make_peft.TARGETS, use_rslora=rslora, lora_dropout=0.0, bias="none")
        single = get_peft_model(make_peft.Scorer(base), LoraConfig(modules_to_save=["score"], **lora))
        trained = {key: tensor for key, tensor in single.named_parameters() if tensor.requires_grad}
        torch.manual_seed(seed)
        with torch.no_grad():
            for tensor in trained.values():
                tensor.copy_(torch.randn_like(tensor) * 0.2)
        heads.append({key.split(".")[-1]: tensor.detach().double() for key, tensor in trained.items() if ".score." in key})
        single.save_pretrained(out / name)
        (out / name / "README.md").unlink(missing_ok=True)
        (out / name / "adapter_model.safetensors").chmod(0o644)
        config = json.loads((out / name / "adapter_config.json").read_text())
        config["target_modules"] = sorted(config["target_modules"])
        golden.write_json(out / name / "adapter_config.json", config)
        # PEFT combines only adapters without saved modules.
        if model is None:
            model = get_peft_model(make_peft.Scorer(base), LoraConfig(**lora), adapter_name=name)
        else:
            model.add_adapter(name, LoraConfig(**lora))
        own = dict(model.named_parameters())
        with torch.no_grad():
            for key, tensor in trained.items():
                if ".lora_" in key:
                    own[key.replace(".default.", f".{name}.")].copy_(tensor)
    head = {part: sum(w * h[part] for w, h in zip(WEIGHTS, heads)) for part in heads[0]}
    scores = {}
    for kind in ["cat", "linear", "svd"]:
        model.add_weighted_adapter(["one", "two"], WEIGHTS, kind, combination_type=kind)
        model.set_adapter(kind)
        model.double().eval()
        with torch.no_grad():
            cls = model.base_model.model.bert(**data).last_hidden_state[:, 0]
            scores[kind] = (cls @ head["weight"].T + head["bias"]).squeeze(-1).tolist()
        print(kind, scores[kind])
    golden.write_json(out / "scores.json", {"texts": make_peft.TEXTS, "weights": WEIGHTS, "scores": scores})


if __name__ == "__main__":
    main()
