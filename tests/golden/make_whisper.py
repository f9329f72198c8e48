"""Writes whisper.jsonl.gz: texts and what the package whisper-normalizer makes of them, for src/text/whisper.

    python -m venv venv && venv/bin/pip install whisper-normalizer==0.1.15
    venv/bin/python tests/golden/make_whisper.py

The texts contain every word of the package's spelling table and random sequences of words that its other rules treat,
but nothing that LoRB treats differently on purpose (the documentation of src/text/whisper/mod.rs lists it).
"""

import gzip
import json
import pathlib
import random

import whisper_normalizer
from whisper_normalizer.english import EnglishTextNormalizer

NUMBERS = (
    "zero oh o one two three four five six seven eight nine ten eleven twelve thirteen fifteen nineteen twenty thirty "
    "forty fifty sixty seventy eighty ninety hundred thousand million billion quintillion decillion ones twos sixes tens "
    "first second third fourth fifth sixth eighth nineth ninth tenth twelfth nineteenth twenties thirtieth hundreds "
    "thousandth millions billionth"
).split()
AROUND = (
    "minus negative plus positive pound pounds euro euros dollar dollars cent cents per percent and double triple point"
).split()
DIGITS = "0 00 1 7 10 007 42 100 1000 1,000 1,234,567 1,2,3 3.5 2.50 5.0 0.07 1960s 2nd 21st 4th 3 .5 5. 1s".split()
AMOUNTS = "$5 $1 £20 €3.50 ¢7 $0.07 $2 ¢50 50% 7%% % $ $$ a$b $100,000 10% $1.05 €0.5".split()
WORDS = (
    "turn off the lights set a timer for Mr. Smith and Mrs Jones st John dr. who prof gen sen rev col lt. jr sr esq "
    "won't can't let's ain't y'all wanna kinda dunno gotta gonna i'ma imma woulda 'cause because ma'am "
    "he'd been she's gone it's done he'd done what's got isn't they're John's I'd we'll 'tis n't I've I'm o'clock "
    "um uh hmm mhm mm umm [laughter] <noise> (coughs) () [open (half Café naïve œuvre straße Øre ½ ² half a half well-known "
    "e.g. U.S. etc... end. wait... what? yes! 'quoted' \"double\" a_b a1b2c3 x-ray 24/7 #1 & @home C++ ~ 5'10 rock'n'roll"
).split()


def texts():
    rng = random.Random(20)
    spellings = json.loads((pathlib.Path(whisper_normalizer.__file__).parent / "normalizers/english.json").read_text())
    british = [word for word in spellings if word not in ("archaeology", "flyer / flier")]
    rng.shuffle(british)
    for at in range(0, len(british), 12):
        yield " ".join(british[at : at + 12])
    yield from ["", " ", "two and a half", "and a half", "two and a half and a half million", "sand a halfway", "2 and a half"]
    kinds = [NUMBERS, AROUND, DIGITS, AMOUNTS, WORDS]
    mixes = [(8, 3, 1, 0, 0), (5, 4, 3, 3, 1), (1, 1, 1, 1, 6), (3, 2, 2, 2, 4), (0, 0, 0, 0, 1)]
    for count in range(2600):
        mix = rng.choice(mixes)
        words = [rng.choice(rng.choices(kinds, mix)[0]) for _ in range(rng.randint(1, 9))]
        if rng.random() < 0.1:
            words.insert(rng.randint(0, len(words)), "and a half")
        if rng.random() < 0.3:
            words = [word.capitalize() for word in words]
        gap = rng.choice([" ", " ", " ", ", ", ". ", "  "])
        yield gap.join(words) + rng.choice(["", "", ".", "?", "%", " '"])


def main():
    normalize = EnglishTextNormalizer()
    lines = []
    for text in texts():
        try:
            lines.append(json.dumps([text, normalize(text).strip()], ensure_ascii=False))
        except Exception as error:  # The package fails on some sequences; there is nothing to compare with.
            print(f"left out: {text!r}: {error!r}")
    target = pathlib.Path(__file__).parent / "whisper.jsonl.gz"
    target.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n", 9, mtime=0))
    print(f"{len(lines)} texts, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
