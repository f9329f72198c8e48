"""The input of Whisper: a log-mel spectrogram of 30 seconds (Radford et al., arXiv 2212.04356, section 2.2)."""
import numpy as np

from speech import RATE, to_float

SECONDS, WINDOW, HOP, BANDS = 30, 400, 160, 80
# The mel scale of Slaney's Auditory Toolbox: linear up to 1000 Hz, logarithmic above.
LINEAR, CORNER, STEP = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0


def to_hertz(mel):
    corner = CORNER / LINEAR
    return np.where(mel < corner, mel * LINEAR, CORNER * np.exp((mel - corner) * STEP))


def filters():
    """Triangles of equal area, evenly spaced on the mel scale up to half of the sample rate: [BANDS, WINDOW / 2 + 1]."""
    top = CORNER / LINEAR + np.log(RATE / 2 / CORNER) / STEP
    points = to_hertz(np.linspace(0.0, top, BANDS + 2))
    low, centre, high = points[:-2, None], points[1:-1, None], points[2:, None]
    frequency = np.fft.rfftfreq(WINDOW, 1.0 / RATE)
    rising, falling = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)


FILTERS = filters()
HANN = np.hanning(WINDOW + 1)[:-1]


def log_mel(pcm):
    """f32 [BANDS, frames] of 16-bit samples; shorter recordings are padded with silence, longer ones cut."""
    samples = np.zeros(SECONDS * RATE)
    x = to_float(pcm)[: len(samples)]
    samples[: len(x)] = x
    padded = np.pad(samples, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: SECONDS * RATE // HOP]
    power = np.abs(np.fft.rfft(frames * HANN, axis=1)) ** 2
    level = np.log10(np.maximum(FILTERS @ power.T, 1e-10))
    level = np.maximum(level, level.max() - 8.0)
    return ((level + 4.0) / 4.0).astype(np.float32)
