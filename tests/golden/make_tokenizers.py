#!/usr/bin/env python3
"""Generates tokenizers/cases.json: folders of tokenizer files, and what Transformers' AutoTokenizer makes of texts in twelve
scripts with each of them.

    python make_tokenizers.py [--output DIR]

The texts are random sequences of letters, made here and in golden_tokenizers.rs by the same generator. See README.md for the
contents.
"""
import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import make_golden as golden  # first: it sets up the environment
import transformers
from transformers import AutoTokenizer

TEXTS = 3000
POSITIONS = 64
EXAMPLES = 8

# Letters of each script, with capitals, accents before and after composition, and combining marks.
SCRIPTS = {
    "latin": "abcdefghilmnorstuABDELMSTäöüßéèñçøıİÅﬁe\u0301o\u0308",
    "greek": "αβγδεηικλμνοπρστυωΑΣΩάέήόΐς",
    "cyrillic": "абвгдежзийклмнопрстуАБДЙё\u0438\u0306",
    "arabic": "ابتجحدرسعفقكلمنهويآأ\u064e\u0650\u0651",
    "hebrew": "אבגדהוזחטיכלמנסעפקרשת\u05b0\u05b8",
    "devanagari": "अकखगचजतदनपबमयरलवसह\u093e\u093f\u0940\u0947\u094d\u0902",
    "thai": "กขคงจชดตทนบปพมยรลวสห\u0e31\u0e34\u0e35\u0e48\u0e49",
    "han": "中文語音識別模型學習國家人大小日月水火山\u3400\U00020000",
    "kana": "あいうえおかきくけこがぎぐアイウエオカキクハ\u3099\u309aー",
    "hangul": "가나다라마바사아자차카타파하한국어\u1100\u1161\u11a8",
    "georgian": "აბგდევზთიკლმნოპრსტუ",
    "tamil": "அஆஇஈகஙசஞடணதநபமயரல\u0bbe\u0bbf\u0bcd",
}
# What stands between words, now and then.
OTHERS = [
    ".", ",", "!", "'", "-", "—", "«", "。", "؟", "।", "10", "3.14", "²", "½", "€", "🙂", "🇩🇪", "_", "[", "]",
    "[MASK]", "[SEP]", "[CLS]", "[UNK]", "[mask]", "<s>", "<mask>", "[NOISE]", "[noise]", "[LAUGHTER]", "hesitation",
    "\t", "\n", "\u00a0", "\u3000", "\u200b", "\u200d", "\u00ad", "\u0000", "\ufffd", "\ue000", "\u0301", "abcdefgh" * 16,
]
NEW = ["[NOISE]", "[LAUGHTER]"]


class Random:
    """The generator of Knuth's MMIX; the upper bits of its state."""

    def __init__(self, seed):
        self.state = seed

    def below(self, count):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % count


def texts():
    random = Random(15)
    scripts = [list(letters) for letters in SCRIPTS.values()]
    for number in range(TEXTS):
        letters = scripts[number % len(scripts)]
        text = ""
        for _ in range(1 + random.below(10)):
            if random.below(4) == 0:
                text += OTHERS[random.below(len(OTHERS))]
            else:
                text += "".join(letters[random.below(len(letters))] for _ in range(1 + random.below(6)))
            if random.below(4) > 0:
                text += " "
        yield text


def vocabulary():
    """Pieces of one and two letters; not all letters, so that some words are unknown."""
    random = Random(7)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    for letters in SCRIPTS.values():
        letters = list(letters)
        kept = [letter for letter in letters if random.below(12) > 0]
        pieces += kept + ["##" + letter for letter in kept]
        pieces += [kept[random.below(len(kept))] + kept[random.below(len(kept))] for _ in range(12)]
    pieces += list(".,!'-—«10398²½€_[]abcdefgh") + ["##" + c for c in "0123456789abcdefgh"] + ["mask", "noise", "hesitation"]
    return list(dict.fromkeys(pieces))


def token(content, **flags):
    plain = {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {**plain, **flags}


def tokenizer_json(pieces, lowercase, added=(), strip=None):
    """A tokenizer.json without its vocabulary, which is that of vocab.txt."""
    special = [token(piece, id=pieces.index(piece)) for piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    one = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
           {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    around = {name: {"id": name, "ids": [pieces.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special + list(added),
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": strip, "lowercase": lowercase},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing", "single": one,
                           "pair": one + [{"Sequence": {"id": "B", "type_id": 1}}], "special_tokens": around},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": None},
    }


def cases(pieces):
    """Names, and files in addition to config.json and vocab.txt."""
    count = len(pieces)
    new = {content: count + at for at, content in enumerate(NEW)}
    other_names = {"unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"}
    config, json_, special, added = "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "added_tokens.json"
    decoder = {str(at): token(piece) for at, piece in enumerate(pieces[:5])}
    return {
        "vocabulary": {},
        "cased": {config: {"do_lower_case": False}},
        "keep-accents": {config: {"do_lower_case": True, "strip_accents": False, "model_max_length": 512,
                                  "tokenizer_class": "BertTokenizer"}},
        "strip-cased": {config: {"do_lower_case": False, "strip_accents": True}},
        "whole-chinese": {config: {"tokenize_chinese_chars": False, "never_split": ["[MASK]"]}},
        "config-over-json": {json_: tokenizer_json(pieces, True),
                             config: {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}},
        "accents-over-json": {json_: tokenizer_json(pieces, True), config: {"strip_accents": False}},
        "defaults-over-json": {json_: tokenizer_json(pieces, False)},
        "class-of-json": {json_: tokenizer_json(pieces, False, strip=True),
                          config: {"do_lower_case": True, "tokenizer_class": "PreTrainedTokenizerFast"}},
        "added": {added: new},
        "added-in-json": {
            json_: tokenizer_json(pieces, True, [token("[NOISE]", id=count, normalized=True, special=False, lstrip=True)]),
            added: {"[LAUGHTER]": count, "hesitation": count + 1}},
        "added-special": {added: {"[LAUGHTER]": count + 1, "[NOISE]": count}, config: {"do_lower_case": False},
                          special: {"additional_special_tokens": ["[NOISE]"], "mask_token": {
                              "content": "[MASK]", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False}}},
        "other-names": {special: other_names},
        "other-names-in-config": {config: {**other_names, "mask_token": {
            "__type": "AddedToken", **token("<mask>", lstrip=True)}}},
        "decoder": {
            config: {"added_tokens_decoder": {
                **decoder, str(count + 1): token("[LAUGHTER]", special=False, normalized=True, single_word=True),
                str(count): token("[NOISE]", rstrip=True)}, "additional_special_tokens": ["hesitation"]},
            special: other_names, added: {"[LAUGHTER]": count + 7}},
        "decoder-and-json": {
            json_: tokenizer_json(pieces, True, [token("hesitation", id=count + 3, special=False, normalized=True)]),
            config: {"added_tokens_decoder": {**decoder, str(count): token("[NOISE]")}, "tokenizer_class": "BertTokenizerFast"}},
        "decoder-and-class-of-json": {
            json_: tokenizer_json(pieces, True, [token("hesitation", id=count, special=False, normalized=True)]),
            config: {"added_tokens_decoder": {**decoder, str(count + 1): token("[NOISE]")},
                     "tokenizer_class": "PreTrainedTokenizerFast"}},
        "short": {config: {"model_max_length": 12, "extra_special_tokens": ["[NOISE]"]}},
        "distilbert": {config: {"tokenizer_class": "DistilBertTokenizer", "event_token": "[LAUGHTER]",
                                "model_max_length": int(1e30)}},
    }


def write(folder, pieces, files):
    config = {"model_type": "bert", "vocab_size": len(pieces) + 8, "hidden_size": 8, "num_hidden_layers": 1,
              "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": POSITIONS}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in pieces), encoding="utf-8")
    for name, contents in files.items():
        contents = json.loads(json.dumps(contents))
        if name == "tokenizer.json":
            contents["model"]["vocab"] = {piece: at for at, piece in enumerate(pieces)}
        (folder / name).write_text(json.dumps(contents))


def encoded(tokenizer, text):
    limit = min(tokenizer.model_max_length, POSITIONS)
    return tokenizer(text, truncation=True, max_length=limit)["input_ids"]


def judge(pieces, files, all_texts):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), pieces, files)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    whole, bytes_of_texts, examples = hashlib.sha256(), "", []
    for number, text in enumerate(all_texts):
        ids = encoded(tokenizer, text)
        line = " ".join(map(str, ids)).encode()
        whole.update(line + b"\n")
        bytes_of_texts += hashlib.sha256(line).hexdigest()[:2]
        if number % (len(all_texts) // EXAMPLES) == 0:
            examples.append({"text": text, "ids": ids})
    return {"files": files, "mask": tokenizer.mask_token_id, "sha256": whole.hexdigest(), "bytes": bytes_of_texts,
            "examples": examples}


def scored(here):
    """Scores of texts with the tiny base and its adapter, whose vocabulary ends with other words and whose tokenizer has
    other files. The ids are Transformers', so a setting that is ignored changes the score."""
    lines = (here / "tiny" / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    own = tokenizer_json(lines, True)
    folders = {
        "keep-accents": (["grün", "grun", "##ß", "süß", "Süß"], "turn the süß grün lights on",
                         {"tokenizer_config.json": {"strip_accents": False, "tokenizer_class": "BertTokenizer"}}),
        "config-over-json": (["Turn", "Lights", "##Lights"], "Turn off the Lights",
                             {"tokenizer.json": own, "tokenizer_config.json": {"do_lower_case": False}}),
        "added": (["[NOISE]", "[LAUGHTER]"], "turn [NOISE] off the [LAUGHTER] lights",
                  {"added_tokens.json": {"[LAUGHTER]": len(lines) - 1, "[NOISE]": len(lines) - 2}}),
        "other-names": (["<s>", "</s>"], "turn off the lights",
                        {"special_tokens_map.json": {"cls_token": "<s>", "sep_token": "</s>"}}),
    }
    model = golden.Rescorer(here / "tiny", here / "tiny" / "adapter", golden.torch.float64)
    found = {}
    for name, (words, text, files) in folders.items():
        pieces = lines[:-len(words)] + ([] if name == "added" else words)
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), pieces, files)
            ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
            (Path(folder) / "tokenizer_config.json").unlink(missing_ok=True)
            (Path(folder) / "special_tokens_map.json").unlink(missing_ok=True)
            (Path(folder) / "added_tokens.json").unlink(missing_ok=True)
            ignored = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
        assert ids != ignored, name
        lm = model([ids])[0].item()
        found[name] = {"words": len(words), "vocabulary": pieces[len(lines) - len(words):], "files": files, "text": text,
                       "ids": ids, "lm": lm}
        print(name, text, ids, lm)
    return found


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=here)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    pieces, all_texts = vocabulary(), list(texts())
    found = {name: judge(pieces, files, all_texts) for name, files in cases(pieces).items()}
    out = args.output / "tokenizers"
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.txt").write_text("".join(piece + "\n" for piece in pieces), encoding="utf-8")
    about = {"transformers": transformers.__version__, "texts": TEXTS, "positions": POSITIONS,
             "scripts": SCRIPTS, "others": OTHERS, "cases": found,
             "scored": scored(here)}
    text = json.dumps(about, ensure_ascii=True, indent=1)
    (out / "cases.json").write_text(text + "\n", encoding="utf-8")
    for name, case in found.items():
        print(name, case["sha256"][:12], case["mask"], case["examples"][1]["ids"][:12])


if __name__ == "__main__":
    main()
