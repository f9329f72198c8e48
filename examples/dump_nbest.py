"""N-best lists from recognisers that return Python objects, as lines of JSON that LoRB reads.

Each function returns the object of one utterance. Write it as a line, with the utterance's id:

    print(json.dumps({"id": name, **transformers_nbest(model, processor, out)}))

`lorb inspect lists.jsonl` then names the format. Add "ref" for training and evaluation.
"""

import json
import math


def transformers_nbest(model, processor, out):
    """Hugging Face: `out = model.generate(features, num_beams=10, num_return_sequences=10,
    return_dict_in_generate=True, output_scores=True)` for one recording."""
    return {
        "texts": processor.batch_decode(out.sequences, skip_special_tokens=True),
        "sequences_scores": out.sequences_scores.tolist(),
        "beam_indices": out.beam_indices.tolist(),
        "length_penalty": model.generation_config.length_penalty,
    }


def ctranslate2_nbest(result):
    """CTranslate2 Whisper: `[result] = model.generate(features, [prompt], beam_size=10, num_hypotheses=10,
    return_scores=True, return_no_speech_prob=True)`."""
    return {
        "sequences": result.sequences,
        "sequences_ids": result.sequences_ids,
        # A hypothesis without tokens has no finite score.
        "scores": [score if math.isfinite(score) else None for score in result.scores],
        "no_speech_prob": result.no_speech_prob,
    }


def sherpa_onnx_nbest(result):
    """sherpa-onnx: `result = stream.result` after decoding with `num_return_paths`."""
    return {
        "text": result.text,
        "hypotheses": [
            {"text": h.text, "tokens": list(h.tokens), "ys_log_probs": list(h.ys_log_probs), "score": h.score}
            for h in result.hypotheses
        ],
    }


def vosk_nbest(recognizer):
    """Vosk: after `recognizer.SetMaxAlternatives(10)` and the last `AcceptWaveform`. It returns JSON already."""
    return json.loads(recognizer.FinalResult())


def google_nbest(result):
    """Google Cloud Speech: one of `response.results`, of a request with `max_alternatives`."""
    return {"alternatives": [{"transcript": a.transcript, "confidence": a.confidence} for a in result.alternatives]}
