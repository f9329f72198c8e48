#!/usr/bin/env python3
"""Word error rates of PocketSphinx's N-best files (.jsonl or .jsonl.gz) as a Markdown table.

1-best: the first of each list. Oracle: the hypothesis with the fewest errors. Random: the expected WER of a
hypothesis drawn uniformly from each list; for uninformative lists it would equal the 1-best's. am, lm: the
hypothesis with the best acoustic or language score only. In list: the reference itself is in the list.
"""
import argparse
from pathlib import Path

from lists import read


def errors(reference, hypothesis):
    """Word edit distance (substitutions, insertions and deletions count one each)."""
    reference, hypothesis = reference.split(), hypothesis.split()
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(diagonal + (word != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def row(name, records):
    words = sum(len(r["ref"].split()) for r in records)
    counts = {"first": 0, "oracle": 0, "random": 0.0, "am": 0, "lm": 0}
    within, better, hypotheses = 0, 0, 0
    for record in records:
        nbest = record["nbest"]
        made = [errors(record["ref"], h["text"]) for h in nbest]
        counts["first"] += made[0]
        counts["oracle"] += min(made)
        counts["random"] += sum(made) / len(made)
        for part in ("am", "lm"):
            counts[part] += made[max(range(len(nbest)), key=lambda i: nbest[i][part])]
        within += min(made) == 0
        better += min(made) < made[0]
        hypotheses += len(made)
    rate = " | ".join(f"{100 * c / words:.1f}" for c in counts.values())
    share = lambda n: f"{100 * n / len(records):.0f} %"
    return (f"| {name} | {len(records)} | {words} | {hypotheses / len(records):.1f} | {rate} | "
            f"{share(within)} | {share(better)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--by", choices=["voice", "channel"], help="one row per value, over all files together")
    args = parser.parse_args()
    groups = {}
    for path in args.files:
        for record in read(path):
            name = record[args.by] if args.by else f"{path.parent.name} {path.name.split('.')[0]}"
            groups.setdefault(name, []).append(record)
    print(f"| {args.by or 'set'} | utterances | words | hypotheses | 1-best | oracle | random | am | lm | in list | oracle better |")
    print("|---" + "|---:" * 10 + "|")
    for name, records in groups.items():
        print(row(name, records))


if __name__ == "__main__":
    main()
