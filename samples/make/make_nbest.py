#!/usr/bin/env python3
"""Speak, distort and recognise the sentences of a TSV (`id TAB text`): N-best lists as JSON lines.

Every random choice of an utterance is drawn from sha256(seed|id), and the decoder starts afresh for each one, so the
output depends neither on --jobs nor on the order of the lines.
"""
import argparse
import gzip
import hashlib
import io
import json
import math
import os
import random
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

ATTEMPTS = 3  # a recording in which nothing is recognised is made again with other choices
UNKNOWN = -40.0  # ln P that no word of the trigram falls below
worker = {}


def start_worker(settings, seed, size, folder):
    import pocketsphinx

    decoder = pocketsphinx.Decoder(loglevel="FATAL", **settings["decoder"])
    config = decoder.config
    # The weights of PocketSphinx's own last pass: it rescales score and word penalty alike.
    scale = config["bestpathlw"] / config["lw"]
    worker.update(
        settings=settings, seed=seed, size=size, decoder=decoder,
        lw=config["lw"] * scale, wip=math.log(config["wip"]) * scale,
        folder=tempfile.mkdtemp(dir=folder),
    )
    from lattice import Trigram

    worker["trigram"] = Trigram(config["lm"])


def recognise(pcm):
    from lattice import Lattice, nbest

    decoder = worker["decoder"]
    decoder.reinit_feat()  # the noise tracker would carry over, and lists depend on the order
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    best = decoder.hyp()
    graph = decoder.get_lattice() if best and best.hypstr else None
    if graph is None:
        return "", []
    path = os.path.join(worker["folder"], "utterance.lat")
    graph.write_htk(path)
    found = nbest(Lattice(path, worker["settings"]["min_posterior"]), worker["trigram"],
                  worker["size"], worker["lw"], worker["wip"])
    return best.hypstr.lower(), found


def make(item):
    import numpy

    import speech

    identity, text = item
    settings = worker["settings"]
    for attempt in range(ATTEMPTS):
        digest = hashlib.sha256(f"{worker['seed']}|{identity}|{attempt}".encode()).digest()
        key = int.from_bytes(digest[:8], "big")
        choose, rng = random.Random(key), numpy.random.Generator(numpy.random.PCG64(key))
        voice = choose.choices(list(settings["voices"]), list(settings["voices"].values()))[0]
        conditions = settings["conditions"]
        condition = choose.choices(conditions, [c["weight"] for c in conditions])[0]
        stretch, speed = choose.uniform(*settings["stretch"]), choose.uniform(*settings["speed"])
        wav = os.path.join(worker["folder"], "utterance.wav")
        clean = speech.speak(text, voice, stretch, speed, wav)
        decoded, found = recognise(speech.distort(clean, condition, choose, rng))
        if found:
            break
    else:
        raise RuntimeError(f"{identity}: nothing recognised in {ATTEMPTS} recordings of: {text}")
    record = {
        "id": identity, "ref": text, "voice": voice, "channel": condition["kind"],
        "nbest": [{"text": t, "score": round(s, 4), "am": round(a, 4), "lm": round(l, 4)} for t, s, a, l in found],
    }
    return record, decoded == found[0][0]


def read_sentences(path):
    items = [tuple(line.split("\t")) for line in path.read_text(encoding="utf-8").splitlines() if line]
    if not items or any(len(item) != 2 for item in items) or len({i for i, _ in items}) != len(items):
        raise SystemExit(f"{path}: expected lines `id TAB text` with distinct ids")
    return items


def check_lexicon(items):
    """A word without a pronunciation or unknown to the trigram could never be found."""
    import pocketsphinx

    from lattice import Trigram

    decoder = pocketsphinx.Decoder(loglevel="FATAL")
    trigram = Trigram(decoder.config["lm"])
    words = sorted({w for _, text in items for w in text.split()})
    missing = [w for w in words if not decoder.lookup_word(w) or trigram(w, "the", None) < UNKNOWN]
    if missing:
        raise SystemExit(f"not in the recogniser's vocabulary: {' '.join(missing)}")


def write_gzip(path, lines):
    """Whole or not at all; without time and name, so the same lines give the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as out:
        out.write("".join(lines).encode())
    part = path.with_name(path.name + ".part")
    part.write_bytes(packed.getvalue())
    part.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="a .jsonl.gz file")
    parser.add_argument("--settings", type=Path, default=Path(__file__).with_name("settings.json"))
    parser.add_argument("--seed", default="1")
    parser.add_argument("--nbest", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=int, help="process only the first LIMIT sentences (for a trial)")
    args = parser.parse_args()
    settings = json.loads(args.settings.read_text(encoding="utf-8"))
    items = read_sentences(args.input)
    check_lexicon(items)
    items = items[: args.limit]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    began, lines, agreed = time.monotonic(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        setup = (settings, args.seed, args.nbest, folder)
        with get_context("spawn").Pool(args.jobs, start_worker, setup) as pool:
            for record, same in pool.imap(make, items, chunksize=4):
                lines.append(json.dumps(record) + "\n")
                agreed += same
    write_gzip(args.output, lines)
    print(f"{args.output.name}: {len(lines)} utterances in {time.monotonic() - began:.0f} s; "
          f"1-best as the recogniser's own in {agreed}", file=sys.stderr)


if __name__ == "__main__":
    main()
