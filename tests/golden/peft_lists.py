#!/usr/bin/env python3
"""Converts between N-best lists of `lorb rescore` and the texts and scores of peft_roundtrip.py.

    peft_lists.py scores LISTS               rescored lists -> JSON lines {"text", "lm"}, each text once
    peft_lists.py lists SCORES               JSON lines with "text" -> one N-best list of these texts
    peft_lists.py compare SCORES LISTS       exit code 1 unless LISTS give every text of SCORES its `lm`, to 1e-4

FILE arguments may be - for standard input.
"""

import json
import pathlib
import sys

TOLERANCE = 1e-4


def read(name):
    text = sys.stdin.read() if name == "-" else pathlib.Path(name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def scores(lists):
    return {hypothesis["text"]: hypothesis["lm"] for line in read(lists) for hypothesis in line["nbest"]}


def main():
    match sys.argv[1:]:
        case ["scores", lists]:
            for text, lm in scores(lists).items():
                print(json.dumps({"text": text, "lm": lm}, ensure_ascii=False))
        case ["lists", name]:
            nbest = [{"text": line["text"]} for line in read(name)]
            print(json.dumps({"id": "peft", "nbest": nbest}, ensure_ascii=False))
        case ["compare", expected, lists]:
            found = scores(lists)
            wanted = {line["text"]: line["lm"] for line in read(expected)}
            if not wanted or wanted.keys() != found.keys():
                sys.exit(f"the texts differ: {sorted(wanted.keys() ^ found.keys())[:3]}")
            worst = max(abs(found[text] - lm) for text, lm in wanted.items())
            print(f"LoRB with PEFT's adapter: {len(wanted)} texts, largest difference {worst:.2e} (allowed {TOLERANCE:.0e})")
            sys.exit(0 if worst <= TOLERANCE else 1)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
