#!/usr/bin/env python3
"""The gain of a simple domain model: a trigram over the training references re-ranks the lists.

This checks the data and is not a competitor: it shows that knowledge of the domain's texts can fix the errors. The
weight relative to the recogniser's score is tuned on dev; test is used once.
"""
import argparse
import math
from collections import Counter
from pathlib import Path

from lists import read
from wer import errors

WEIGHTS = [0, 1, 2, 4, 8, 16, 32]
MIX = (0.4, 0.4, 0.18)  # trigram, bigram, unigram; the rest goes to unseen words
FLOOR = 0.02 / 70_000  # spread over a vocabulary of about that size


class Trigram:
    def __init__(self, texts):
        self.grams, self.heads = Counter(), Counter()
        for text in texts:
            words = self.pad(text)
            for i in range(2, len(words)):
                for order in (1, 2, 3):
                    gram = tuple(words[i - order + 1 : i + 1])
                    self.grams[gram] += 1
                    self.heads[order, gram[:-1]] += 1

    @staticmethod
    def pad(text):
        return ["<s>", "<s>", *text.split(), "</s>"]

    def score(self, text):
        """ln P(text), linear interpolation."""
        words, total = self.pad(text), 0.0
        for i in range(2, len(words)):
            p = FLOOR
            for order, share in zip((3, 2, 1), MIX):
                gram = tuple(words[i - order + 1 : i + 1])
                if head := self.heads[order, gram[:-1]]:
                    p += share * self.grams[gram] / head
            total += math.log(p)
        return total


def wer(records, weight):
    made = words = 0
    for record in records:
        best = max(record["nbest"], key=lambda h: h["score"] + weight * h["domain"])
        made += errors(record["ref"], best["text"])
        words += len(record["ref"].split())
    return 100 * made / words


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders with train, dev and test.jsonl.gz")
    for folder in parser.parse_args().folders:
        train, dev, test = (read(folder / f"{split}.jsonl.gz") for split in ("train", "dev", "test"))
        model = Trigram(r["ref"] for r in train)
        for record in dev + test:
            for hypothesis in record["nbest"]:
                hypothesis["domain"] = model.score(hypothesis["text"])
        weight = min(WEIGHTS, key=lambda w: wer(dev, w))
        known = {w for r in train for w in r["ref"].split()}
        words = [w for r in test for w in r["ref"].split()]
        unseen = 100 * sum(w not in known for w in words) / len(words)
        print(f"{folder.name}: weight {weight}; dev {wer(dev, 0):.1f} -> {wer(dev, weight):.1f}, "
              f"test {wer(test, 0):.1f} -> {wer(test, weight):.1f}; {unseen:.1f} % of test words not in train")


if __name__ == "__main__":
    main()
