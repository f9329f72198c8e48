"""A text spoken by a flite voice, then put through a noisy room or a telephone line: 16 kHz 16-bit mono."""
import hashlib
import math
import os
import random
import subprocess
from typing import NamedTuple

import numpy as np

RATE = 16000
EDGE = (0.25, 0.3)  # silence before and after, seconds


def run(command, stdin=None):
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode(errors='replace')[:300]}")
    return done.stdout


def sox(data, rate, encoding, bits, *effects, out_rate=RATE, out_encoding="signed", out_bits=16):
    """Raw samples through sox; -D: no dither, so the result is the same every time."""
    form = lambda r, e, b: ["-t", "raw", "-r", str(r), "-e", e, "-b", str(b), "-c", "1", "-"]
    return run(["sox", "-D", *form(rate, encoding, bits), *form(out_rate, out_encoding, out_bits), *effects], data)


def to_float(pcm):
    return np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32768.0


def to_pcm(x):
    return (np.clip(x, -0.99, 0.99) * 32767).astype("<i2").tobytes()


def speak(text, voice, stretch, speed, wav):
    """Speech at a level of 0.05 RMS; `stretch` slows the voice down, `speed` shifts pitch and tempo together."""
    run(["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.3f}", "-t", text, "-o", wav])
    raw = run(["sox", "-D", wav, "-t", "raw", "-r", str(RATE), "-e", "signed", "-b", "16", "-c", "1", "-",
               "gain", "-6", "speed", f"{speed:.4f}", "rate", str(RATE), "pad", str(EDGE[0]), str(EDGE[1])])
    x = to_float(raw)
    return x * (0.05 / math.sqrt(float((x * x).mean()) + 1e-12))


def coloured(samples, rng, slope, corner):
    """Gaussian noise whose amplitude falls as frequency^-slope above `corner` hertz."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1.0 / RATE), corner)
    return np.fft.irfft(spectrum / frequency**slope, samples)


def add_noise(x, noise, snr):
    """`snr` in decibels against the speech without its silent edges."""
    voiced = max(1, len(x) - int(sum(EDGE) * RATE))
    speech = float((x * x).sum()) / voiced
    level = float((noise * noise).mean()) + 1e-12
    return x + noise * math.sqrt(speech / level / 10 ** (snr / 10))


def telephone(x, low, high):
    """Band-pass and 8-bit mu-law."""
    coded = sox(to_pcm(x * 2.5), RATE, "signed", 16, "sinc", f"{low}-{high}", out_encoding="mu-law", out_bits=8)
    return to_float(sox(coded, RATE, "mu-law", 8)) / 2.5


def distort(x, condition, random, rng):
    """The channel that `condition` (an entry of settings.json) describes."""
    kind = condition["kind"]
    if kind == "car":
        x = add_noise(x, coloured(len(x), rng, 1.5, 60), random.uniform(*condition["snr"]))
    elif kind == "fan":
        x = add_noise(x, coloured(len(x), rng, 0.5, 40), random.uniform(*condition["snr"]))
    elif kind == "telephone":
        x = telephone(x, *condition["band"])
    elif kind != "quiet":
        raise ValueError(f"unknown condition kind {kind!r}")
    return to_pcm(x)


class Recording(NamedTuple):
    """One utterance and how it was made."""

    pcm: bytes
    voice: str
    channel: str


def record(settings, seed, identity, text, attempt, folder):
    """Speaks and distorts a text. Everything random is drawn from sha256(seed|identity|attempt)."""
    digest = hashlib.sha256(f"{seed}|{identity}|{attempt}".encode()).digest()
    key = int.from_bytes(digest[:8], "big")
    choose, rng = random.Random(key), np.random.Generator(np.random.PCG64(key))
    voice = choose.choices(list(settings["voices"]), list(settings["voices"].values()))[0]
    conditions = settings["conditions"]
    condition = choose.choices(conditions, [c["weight"] for c in conditions])[0]
    stretch, speed = choose.uniform(*settings["stretch"]), choose.uniform(*settings["speed"])
    clean = speak(text, voice, stretch, speed, os.path.join(folder, "utterance.wav"))
    return Recording(distort(clean, condition, choose, rng), voice, condition["kind"])
