"""N-best lists from Whisper, as the JSON lines that LoRB reads.

    pip install faster-whisper
    python examples/whisper_nbest.py --model tiny.en --references refs.txt *.wav | gzip > lists.jsonl.gz
    lorb inspect lists.jsonl.gz

Each audio file holds one utterance of at most 30 seconds; its name without the extension is the utterance's id. A line
of `--references` is an id, a space and the reference text, as in Kaldi and ESPnet.

Beams of Whisper differ mostly in case and punctuation, which word error rates ignore. So texts are normalised, and the
probabilities of beams with the same normalised text are added. Normalise your references in the same way: this script
does it for those that it is given.
"""

import argparse
import json
import math
import re
import sys
from pathlib import Path

PUNCTUATION = re.compile(r"[^\w\s']|_")


def normalise(text):
    """Lower case without punctuation; apostrophes stay."""
    return " ".join(PUNCTUATION.sub(" ", text).lower().split())


def merged(hypotheses):
    """Distinct normalised texts with the log of their total probability, best first."""
    scores = {}
    for text, score in hypotheses:
        scores.setdefault(normalise(text), []).append(score)
    # Each beam is one way to say the text: log-sum-exp adds the probabilities.
    total = {text: max(all) + math.log(sum(math.exp(s - max(all)) for s in all)) for text, all in scores.items()}
    return sorted(total.items(), key=lambda item: -item[1])


def recognise(model, audio, language, beams):
    """(text, log-probability) of each beam for the samples of one utterance, at 16 kHz."""
    from faster_whisper.audio import pad_or_trim
    from faster_whisper.tokenizer import Tokenizer

    tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language)
    encoded = model.encode(pad_or_trim(model.feature_extractor(audio)))
    prompt = model.get_prompt(tokenizer, previous_tokens=[], without_timestamps=True)
    [result] = model.model.generate(
        encoded, [prompt], beam_size=beams, num_hypotheses=beams, return_scores=True, length_penalty=1.0
    )
    # CTranslate2 divides the log-probability by the number of tokens; LoRB wants that of the whole text.
    return [
        (tokenizer.decode(tokens), score * len(tokens))
        for tokens, score in zip(result.sequences_ids, result.scores)
        if tokens
    ]


def utterance(name, hypotheses, reference, limit):
    """One line for LoRB."""
    line = {"id": name}
    if reference is not None:
        line["ref"] = normalise(reference)
    line["nbest"] = [{"text": text, "score": round(score, 4)} for text, score in merged(hypotheses)[:limit]]
    return json.dumps(line, ensure_ascii=False)


def references(path):
    """Texts by id."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return {name: text for name, _, text in (line.strip().partition(" ") for line in lines) if name}


def main():
    parser = argparse.ArgumentParser(description="N-best lists from Whisper, as JSON lines for LoRB")
    parser.add_argument("audio", nargs="+", help="audio files, one utterance each")
    parser.add_argument("--model", default="tiny.en", help="name or directory of a CTranslate2 Whisper model")
    parser.add_argument("--language", default="en")
    parser.add_argument("--references", help="file with an id and a text on each line")
    parser.add_argument("--beams", type=int, default=30, help="beams to search; more give longer lists")
    parser.add_argument("--nbest", type=int, default=10, help="hypotheses to keep")
    args = parser.parse_args()

    from faster_whisper import WhisperModel, decode_audio

    known = references(args.references) if args.references else {}
    model = WhisperModel(args.model, device="auto", compute_type="auto")
    for path in args.audio:
        name = Path(path).stem
        hypotheses = recognise(model, decode_audio(path), args.language, args.beams)
        if not hypotheses:
            print(f"{path}: Whisper found no words; the utterance is skipped", file=sys.stderr)
            continue
        print(utterance(name, hypotheses, known.get(name), args.nbest), flush=True)


if __name__ == "__main__":
    main()
