#!/usr/bin/env python3
"""Generates tokenizers/subwords.json: folders with byte-level BPE and Unigram, and what Transformers' AutoTokenizer makes of
texts in twelve scripts with each of them.

    python make_subwords.py [--output DIR]

The texts are those of make_tokenizers.py. The vocabularies are trained on them, so files of the same script may differ between
versions of the trainers; the ids are those of the files that are written. See README.md for the contents.
"""
import argparse
import base64
import hashlib
import io
import json
import tempfile
from pathlib import Path

import make_tokenizers as plain  # first: it sets up the environment
import sentencepiece
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

NAMES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
# Replacements of the normaliser, small in the file: a ligature, a full-width letter, and a letter with an accent.
RULES = "FB01\t66 69\n130\t69\nE9\t65\n3000\t20\nA0\t20\n"


def byte_level(all_texts):
    """The vocabulary and merges of RoBERTa's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=NAMES, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(all_texts, trainer)
    return json.loads(tokenizer.to_str())["model"]


def sentence_piece(all_texts, folder):
    """A model of XLM-RoBERTa's kind, as bytes."""
    rules = Path(folder) / "rules.tsv"
    rules.write_text(RULES)
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.replace("\0", "").replace("\n", " ") for text in all_texts), model_writer=out,
        vocab_size=800, model_type="unigram", character_coverage=0.98, normalization_rule_tsv=str(rules), num_threads=1,
        user_defined_symbols=["hesitation"], minloglevel=2)
    return out.getvalue()


def files_of(model, spm):
    """Files that several folders share."""
    vocabulary = model["vocab"]
    merges = ["#version: 0.2"] + [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return {"vocab.json": json.dumps(vocabulary, ensure_ascii=False), "merges.txt": "\n".join(merges) + "\n",
            "sentencepiece.bpe.model": base64.b64encode(spm).decode()}


def byte_level_json(model, start, end, prefix, names):
    """A tokenizer.json with byte-level BPE."""
    tokenizer = Tokenizer.from_str(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None,
        "post_processor": None, "decoder": None, "model": model}))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(names)
    ids = [(token, tokenizer.token_to_id(token)) for token in (start, end)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=ids)
    return json.loads(tokenizer.to_str())


def cases(model):
    """Names; the model type, the shared files, and the other ones."""
    config, json_, special, added = "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "added_tokens.json"
    roberta = byte_level_json(model, "<s>", "</s>", False, NAMES)
    modern = byte_level_json(model, "[CLS]", "[SEP]", False, ["[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"])
    two, one = ["vocab.json", "merges.txt"], ["sentencepiece.bpe.model"]
    extra = {"extra_special_tokens": ["[NOISE]"], "model_max_length": 40}
    return {
        "roberta-json": ("roberta", [], {json_: roberta}),
        "roberta-json-prefix": ("roberta", [], {json_: roberta, config: {
            "add_prefix_space": True, "tokenizer_class": "RobertaTokenizer"}}),
        "roberta-json-extra": ("roberta", [], {json_: roberta, config: {**extra, "tokenizer_class": "RobertaTokenizerFast"}}),
        "roberta-files": ("roberta", two, {}),
        "roberta-files-prefix": ("roberta", two, {config: {"add_prefix_space": True, "tokenizer_class": "RobertaTokenizer"}}),
        "roberta-files-extra": ("roberta", two, {config: {**extra, "mask_token": {
            "__type": "AddedToken", **plain.token("<mask>", lstrip=True)}}, added: {"[LAUGHTER]": len(model["vocab"])}}),
        "roberta-files-special": ("roberta", two, {special: {
            "cls_token": "[CLS]", "sep_token": "</s>", "mask_token": plain.token("<mask>", lstrip=True),
            "additional_special_tokens": ["[NOISE]", "hesitation"]}}),
        "modern-json": ("roberta", [], {json_: modern, config: {
            "tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]",
            "pad_token": "[PAD]", "mask_token": "[MASK]"}}),
        "xlm-roberta-files": ("xlm-roberta", one, {}),
        "xlm-roberta-files-prefix": ("xlm-roberta", one, {config: {"add_prefix_space": False}}),
        "xlm-roberta-files-extra": ("xlm-roberta", one, {config: {**extra, "tokenizer_class": "XLMRobertaTokenizer"}}),
        "xlm-roberta-json": ("xlm-roberta", one, "json"),
        "xlm-roberta-json-prefix": ("xlm-roberta", one, {config: {"add_prefix_space": False}, json_: "json"}),
        "camembert-files": ("camembert", one, {}),
        "camembert-files-extra": ("camembert", one, {config: {**extra, "tokenizer_class": "CamembertTokenizer"}}),
        "camembert-json": ("camembert", one, "json"),
    }


def write(folder, kind, names, shared, files):
    config = {"model_type": kind, "vocab_size": 900, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 8, "max_position_embeddings": plain.POSITIONS + 2, "pad_token_id": 1}
    (folder / "config.json").write_text(json.dumps(config))
    for name in names:
        contents = shared[name]
        (folder / name).write_bytes(base64.b64decode(contents) if name.endswith(".model") else contents.encode())
    for name, contents in files.items():
        (folder / name).write_text(json.dumps(contents))


def saved_json(kind, names, shared):
    """The tokenizer.json that Transformers writes for a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), kind, names, shared, {})
        out = Path(folder) / "out"
        AutoTokenizer.from_pretrained(folder).save_pretrained(out)
        return json.loads((out / "tokenizer.json").read_text())


def judge(case, shared, all_texts):
    kind, names, files = case
    if files == "json" or files.get("tokenizer.json") == "json":
        others = {} if files == "json" else files
        files, names = {**others, "tokenizer.json": saved_json(kind, names, shared)}, []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), kind, names, shared, files)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    whole, bytes_of_texts, examples = hashlib.sha256(), "", []
    for number, text in enumerate(all_texts):
        ids = plain.encoded(tokenizer, text)
        line = " ".join(map(str, ids)).encode()
        whole.update(line + b"\n")
        bytes_of_texts += hashlib.sha256(line).hexdigest()[:2]
        if number % (len(all_texts) // plain.EXAMPLES) == 0:
            examples.append({"text": text, "ids": ids})
    return {"model_type": kind, "shared": names, "files": files, "mask": tokenizer.mask_token_id, "sha256": whole.hexdigest(),
            "bytes": bytes_of_texts, "examples": examples}


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=here)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    all_texts = list(plain.texts())
    model = byte_level(all_texts)
    with tempfile.TemporaryDirectory() as folder:
        shared = files_of(model, sentence_piece(all_texts, folder))
    found = {name: judge(case, shared, all_texts) for name, case in cases(model).items()}
    about = {"transformers": transformers.__version__, "positions": plain.POSITIONS, "shared": shared, "cases": found}
    out = args.output / "tokenizers" / "subwords.json"
    out.write_text(json.dumps(about, ensure_ascii=True, separators=(",", ":")) + "\n", encoding="utf-8")
    for name, case in found.items():
        print(name, case["sha256"][:12], case["mask"], case["examples"][1]["ids"][:12])


if __name__ == "__main__":
    main()
