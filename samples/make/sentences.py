#!/usr/bin/env python3
"""Draw distinct sentences from a grammar and split them by text.

Output: one TSV per split (`id TAB text`). Same grammar, seed and sizes, same bytes.
"""
import argparse
import random
import re
import sys
from pathlib import Path

SLOT = re.compile(r"\$([a-z]+)")
CHOICE = re.compile(r"\[([^\[\]]*)\]")
CLEAN = re.compile(r"[a-z']+( [a-z']+)*")
MAX_SHARE = 0.03  # of all sentences, for one pattern: short patterns must not fill the set


def load(path):
    """Slots (name -> alternatives) and patterns [(weight, text)] of a grammar file."""
    slots, patterns = {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if slot := re.fullmatch(r"\$([a-z]+):(.*)", line):
            slots[slot[1]] = [a.strip() for a in slot[2].split("|")]
        elif pattern := re.fullmatch(r"-(\d*) (.*)", line):
            patterns.append((int(pattern[1] or 1), pattern[2]))
        else:
            raise SystemExit(f"{path}:{number}: neither '$slot: ...' nor '- pattern': {line}")
    for _, text in patterns + [(1, a) for s in slots.values() for a in s]:
        for name in SLOT.findall(text):
            if name not in slots:
                raise SystemExit(f"{path}: ${name} is used but not defined")
    return slots, patterns


def expand(text, slots, rng):
    """One random sentence of a pattern: choices and slots from the left until none is left."""
    while True:
        if choice := CHOICE.search(text):
            pick = rng.choice(choice[1].split("|"))
            text = text[: choice.start()] + pick + text[choice.end() :]
        elif slot := SLOT.search(text):
            text = text[: slot.start()] + rng.choice(slots[slot[1]]) + text[slot.end() :]
        else:
            return " ".join(text.split())


def repeats_itself(text):
    """"add plums and plums": the same content word drawn twice."""
    long = [w for w in text.split() if len(w) > 4]
    return len(long) != len(set(long))


def draw(path, total, seed, min_words, max_words):
    slots, patterns = load(path)
    rng = random.Random(f"{seed}|{path.stem}")
    weights = [w for w, _ in patterns]
    used, seen, out = [0] * len(patterns), set(), []
    for _ in range(total * 200):
        i = rng.choices(range(len(patterns)), weights)[0]
        text = expand(patterns[i][1], slots, rng)
        if not CLEAN.fullmatch(text):
            raise SystemExit(f"{path}: pattern gives characters outside a-z and ': {text}")
        words = len(text.split())
        if text in seen or not min_words <= words <= max_words or repeats_itself(text):
            continue
        if used[i] >= total * MAX_SHARE:
            continue
        used[i] += 1
        seen.add(text)
        out.append(text)
        if len(out) == total:
            return out
    raise SystemExit(f"{path}: the grammar gave only {len(out)} of {total} distinct sentences")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grammar", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder for train.tsv, dev.tsv, test.tsv")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--train", type=int, default=600)
    parser.add_argument("--dev", type=int, default=150)
    parser.add_argument("--test", type=int, default=150)
    parser.add_argument("--min-words", type=int, default=4)
    parser.add_argument("--max-words", type=int, default=16)
    args = parser.parse_args()
    sizes = {"train": args.train, "dev": args.dev, "test": args.test}
    texts = draw(args.grammar, sum(sizes.values()), args.seed, args.min_words, args.max_words)
    args.output.mkdir(parents=True, exist_ok=True)
    start = 0
    for split, size in sizes.items():
        lines = [f"{args.grammar.stem}-{split}-{n:04d}\t{t}\n" for n, t in enumerate(texts[start : start + size], 1)]
        (args.output / f"{split}.tsv").write_text("".join(lines), encoding="utf-8")
        start += size
    words = sum(len(t.split()) for t in texts)
    print(f"{args.grammar.stem}: {len(texts)} sentences, {words / len(texts):.1f} words each, "
          f"{len({w for t in texts for w in t.split()})} distinct words", file=sys.stderr)


if __name__ == "__main__":
    main()
