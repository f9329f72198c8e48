"""Tests of whisper_nbest.py against a stand-in for faster-whisper:

    python3 examples/test_whisper_nbest.py
"""

import contextlib
import io
import json
import math
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

import whisper_nbest as example

BEAMS = {(1, 2, 3, 4): -0.25, (5, 6): -1.0, (7, 8, 9, 10, 11): -0.25, (): -3.0}
TEXTS = {(1, 2, 3, 4): " Turn off, the light!", (5, 6): " turn off the light", (7, 8, 9, 10, 11): " Turn of the light."}


class Whisper:
    """Returns BEAMS, and stores its arguments."""

    hf_tokenizer = "tokenizer.json"

    def __init__(self, name, **_options):
        self.name = name
        self.model = types.SimpleNamespace(is_multilingual=False, generate=self.generate)

    def feature_extractor(self, audio):
        return ("features", audio)

    def encode(self, features):
        return ("encoded", features)

    def get_prompt(self, _tokenizer, previous_tokens, without_timestamps):
        assert previous_tokens == [] and without_timestamps
        return ["prompt"]

    def generate(self, encoded, prompts, **options):
        assert encoded[0] == "encoded" and prompts == [["prompt"]]
        assert options["num_hypotheses"] == options["beam_size"] == 30 and options["return_scores"]
        sequences = [list(tokens) for tokens in BEAMS]
        return [types.SimpleNamespace(sequences_ids=sequences, scores=list(BEAMS.values()))]


class Tokenizer:
    def __init__(self, *_arguments, **_options):
        pass

    def decode(self, tokens):
        return TEXTS[tuple(tokens)]


def modules():
    whisper = types.ModuleType("faster_whisper")
    whisper.WhisperModel, whisper.decode_audio = Whisper, lambda path: f"samples of {path}"
    audio = types.ModuleType("faster_whisper.audio")
    audio.pad_or_trim = lambda features: features
    tokenizer = types.ModuleType("faster_whisper.tokenizer")
    tokenizer.Tokenizer = Tokenizer
    return {module.__name__: module for module in (whisper, audio, tokenizer)}


class Tests(unittest.TestCase):
    def test_texts_are_normalised(self):
        self.assertEqual(example.normalise(" Don't_stop—NOW, please! "), "don't stop now please")

    def test_probabilities_of_equal_texts_are_added(self):
        merged = example.merged([("A b.", math.log(0.2)), ("a c", math.log(0.3)), ("a B", math.log(0.25))])
        self.assertEqual([text for text, _ in merged], ["a b", "a c"])
        self.assertAlmostEqual(math.exp(merged[0][1]), 0.45)

    def test_very_small_probabilities_do_not_vanish(self):
        [(_, score)] = example.merged([("a", -2000.0), ("A", -2000.0)])
        self.assertAlmostEqual(score, -2000.0 + math.log(2.0))

    def test_a_file_becomes_a_line(self):
        with tempfile.TemporaryDirectory() as folder:
            references = Path(folder) / "refs.txt"
            references.write_text("u1 Turn off the light.\n\nu2 x\n", encoding="utf-8")
            output = io.StringIO()
            arguments = ["whisper_nbest.py", "--references", str(references), "sounds/u1.wav"]
            with mock.patch.dict(sys.modules, modules()), mock.patch.object(sys, "argv", arguments):
                with contextlib.redirect_stdout(output):
                    example.main()
        # The score of a beam is its mean over the tokens: 4 x -0.25 and 2 x -1 are the same text.
        joined = round(-1.0 + math.log(1.0 + math.exp(-1.0)), 4)
        self.assertEqual(
            json.loads(output.getvalue()),
            {
                "id": "u1",
                "ref": "turn off the light",
                "nbest": [
                    {"text": "turn off the light", "score": joined},
                    {"text": "turn of the light", "score": -1.25},
                ],
            },
        )


if __name__ == "__main__":
    unittest.main()
