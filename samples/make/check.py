#!/usr/bin/env python3
"""Validate the generated sets: sizes, scores in order, no empty lists or texts, no duplicate references, and the same
utterances in Whisper's sets as in PocketSphinx's. Exits 1 on a fault."""
import re
import sys
from pathlib import Path

import lists

SIZE_LIMIT = 1_000_000  # bytes of all packed files together
REFERENCE = re.compile(r"[a-z']+( [a-z']+)*")
DOMAINS, SPLITS = ("assistant", "dictation"), ("train", "dev", "test")
POCKETSPHINX, WHISPER = 10, 30  # hypotheses at most


def list_faults(record, limit, distinct):
    nbest = record["nbest"]
    texts = [h["text"] for h in nbest]
    scores = [h["score"] for h in nbest]
    if not REFERENCE.fullmatch(record["ref"]):
        yield f"reference is not lower-case words: {record['ref']}"
    if not 1 <= len(nbest) <= limit or not all(texts):
        yield f"an empty text, or not 1 to {limit} hypotheses"
    if distinct and len(set(texts)) != len(texts):
        yield "the same text twice"
    if scores != sorted(scores, reverse=True):
        yield "scores are not in descending order"


def read(path, limit, distinct, found):
    records = lists.read(path)
    for number, record in enumerate(records, 1):
        found.extend(f"{path}:{number}: {fault}" for fault in list_faults(record, limit, distinct))
    return records


def faults(folder):
    found, seen = [], {}
    for split in SPLITS:
        spoken = []
        for domain in DOMAINS:
            path = folder / domain / f"{split}.jsonl.gz"
            for number, record in enumerate(read(path, POCKETSPHINX, True, found), 1):
                at = f"{path}:{number}"
                for what in ("id", "ref"):
                    if seen.setdefault(record[what], at) != at:
                        found.append(f"{at}: the {what} is also in {seen[record[what]]}")
                spoken.append((record["id"], record["ref"]))
        whisper = read(folder / "whisper" / f"{split}.jsonl.gz", WHISPER, False, found)
        if [(record["id"], record["ref"]) for record in whisper] != spoken:
            found.append(f"whisper {split}: not the utterances of the other sets")
    size = sum(path.stat().st_size for path in folder.glob("*/*.jsonl.gz"))
    if size > SIZE_LIMIT:
        found.append(f"{size} bytes in all, more than {SIZE_LIMIT}")
    print(f"{len(seen) // 2} utterances, {size} bytes", file=sys.stderr)
    return found


def main():
    found = faults(Path(sys.argv[1]))
    for fault in found:
        print(fault, file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
