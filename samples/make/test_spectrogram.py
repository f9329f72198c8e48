import unittest

import numpy as np

from spectrogram import BANDS, FILTERS, HOP, RATE, SECONDS, log_mel


class Tests(unittest.TestCase):
    def test_a_tone_is_in_its_band(self):
        time = np.arange(RATE) / RATE
        for hertz in (440.0, 1000.0, 4000.0):
            tone = (8000 * np.sin(2 * np.pi * hertz * time)).astype("<i2")
            spectrum = log_mel(tone.tobytes())
            self.assertEqual(spectrum.shape, (BANDS, SECONDS * RATE // HOP))
            self.assertEqual(spectrum.dtype, np.float32)
            nearest = FILTERS[:, round(hertz * 400 / RATE)].argmax()
            self.assertEqual(spectrum[:, 50].argmax(), nearest)
            # Silence after the tone: eight decades below the loudest value, divided by four.
            self.assertAlmostEqual(float(spectrum.max() - spectrum[:, 2000].max()), 2.0, places=5)

    def test_long_recordings_are_cut(self):
        long = np.zeros((SECONDS + 5) * RATE, dtype="<i2").tobytes()
        self.assertEqual(log_mel(long).shape, (BANDS, SECONDS * RATE // HOP))


if __name__ == "__main__":
    unittest.main()
