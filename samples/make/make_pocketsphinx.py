#!/usr/bin/env python3
"""Speak, distort and recognise the sentences of a TSV (`id TAB text`) with PocketSphinx: N-best lists as JSON lines.

The decoder starts afresh for each utterance, so the output depends neither on --jobs nor on the order of the lines.
"""
import math
import os

import lists

ATTEMPTS = 3  # a recording in which nothing is recognised is made again with other choices
UNKNOWN = -40.0  # ln P that no word of the trigram falls below
worker = {}


def start_worker(args, folder):
    import pocketsphinx

    settings = lists.settings()
    decoder = pocketsphinx.Decoder(loglevel="FATAL", **settings["decoder"])
    config = decoder.config
    # The weights of PocketSphinx's own last pass: it rescales score and word penalty alike.
    scale = config["bestpathlw"] / config["lw"]
    worker.update(
        settings=settings, seed=args.seed, size=args.nbest, decoder=decoder,
        lw=config["lw"] * scale, wip=math.log(config["wip"]) * scale, folder=folder,
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
    import speech

    identity, text = item
    for attempt in range(ATTEMPTS):
        made = speech.record(worker["settings"], worker["seed"], identity, text, attempt, worker["folder"])
        decoded, found = recognise(made.pcm)
        if found:
            break
    else:
        raise RuntimeError(f"{identity}: nothing recognised in {ATTEMPTS} recordings of: {text}")
    record = {"id": identity, "ref": text, "voice": made.voice, "channel": made.channel}
    if attempt:
        record["attempt"] = attempt  # for programs that make the same recording again
    record["nbest"] = [
        {"text": t, "score": round(s, 4), "am": round(a, 4), "lm": round(l, 4)} for t, s, a, l in found
    ]
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


def main():
    parser = lists.arguments(__doc__, "a TSV of `id TAB text`")
    parser.add_argument("--nbest", type=int, default=10)
    args = parser.parse_args()
    items = read_sentences(args.input)
    check_lexicon(items)
    lists.write(args, items, start_worker, make, "1-best as the recogniser's own in")


if __name__ == "__main__":
    main()
