"""Prints the definitions and examples of WordNet as a recogniser would write them, one text per line.

    python3 scripts/wordnet_text.py FOLDER > sentences.txt      FOLDER has data.noun, data.verb, data.adj and data.adv

Texts are lower-case, without punctuation, of 3 to 40 words, each once, in an order that depends on nothing else.
"""

import random
import re
import sys
from pathlib import Path

PARTS = ["adj", "adv", "noun", "verb"]
WORDS = range(3, 41)


def spoken(text: str) -> str:
    """The words of a text; apostrophes stay only within words."""
    text = re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("`", "'"))
    return " ".join(re.sub(r"(?<![a-z])'|'(?![a-z])", " ", text).split())


def texts(folder: Path) -> set[str]:
    found = set()
    for part in PARTS:
        for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
            # The licence is above the data, indented.
            if line.startswith("  "):
                continue
            gloss = line.split("|", 1)[1]
            examples = re.findall(r'"([^"]+)"', gloss)
            definitions = re.sub(r'"[^"]*"', "", gloss).split(";")
            found.update(spoken(text) for text in examples + definitions)
    return {text for text in found if len(text.split()) in WORDS}


def main() -> None:
    ordered = sorted(texts(Path(sys.argv[1])))
    random.Random(1).shuffle(ordered)
    sys.stdout.write("".join(f"{text}\n" for text in ordered))


if __name__ == "__main__":
    main()
