#!/usr/bin/env python3
"""Validate the generated sets: sizes, scores in order, no empty lists or texts, no duplicate references. Exits 1 on a fault."""
import gzip
import json
import re
import sys
from pathlib import Path

SIZE_LIMIT = 600_000  # bytes of all packed files together
REFERENCE = re.compile(r"[a-z']+( [a-z']+)*")


def faults(folder):
    files = sorted(folder.glob("*/*.jsonl.gz"))
    if len(files) != 6:
        yield f"{folder}: {len(files)} sets, expected 6"
    size = sum(f.stat().st_size for f in files)
    if size > SIZE_LIMIT:
        yield f"{size} bytes in all, more than {SIZE_LIMIT}"
    ids, texts = {}, {}
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                record, at = json.loads(line), f"{path}:{number}"
                if ids.setdefault(record["id"], at) != at:
                    yield f"{at}: id {record['id']} is also in {ids[record['id']]}"
                if texts.setdefault(record["ref"], at) != at:
                    yield f"{at}: the reference is also in {texts[record['ref']]}"
                if not REFERENCE.fullmatch(record["ref"]):
                    yield f"{at}: reference is not lower-case words: {record['ref']}"
                nbest = record["nbest"]
                spoken = [h["text"] for h in nbest]
                scores = [h["score"] for h in nbest]
                if not 1 <= len(nbest) <= 10 or len(set(spoken)) != len(spoken) or not all(spoken):
                    yield f"{at}: empty list, empty text or the same text twice"
                if scores != sorted(scores, reverse=True):
                    yield f"{at}: scores are not in descending order"
    print(f"{len(ids)} utterances in {len(files)} sets, {size} bytes", file=sys.stderr)


def main():
    found = list(faults(Path(sys.argv[1])))
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
