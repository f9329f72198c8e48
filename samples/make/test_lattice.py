"""`python -m unittest` in this folder: compares the lattice search with an enumeration of all paths."""
import random
import tempfile
import unittest
from pathlib import Path

from lattice import END, START, Lattice, nbest

LW, WIP = 9.5, -0.63


def trigram(word, previous, before):
    """Any fixed function of the three words will do."""
    return -0.1 - random.Random(f"{word} {previous} {before}").random()


def random_lattice(rng, path):
    """Layers of one to three nodes from a small vocabulary, with fillers; links may skip a layer."""
    layers = [[("!SENT_START", 0)]]
    for time in range(1, 6):
        layers.append([(rng.choice(["a", "b", "c", "!NULL"]), time) for _ in range(rng.randint(1, 3))])
    layers.append([("!SENT_END", 6)])
    nodes = [(word, time) for layer in layers for word, time in layer]
    links = [(s, e) for s, (_, t) in enumerate(nodes) for e, (_, u) in enumerate(nodes) if 1 <= u - t <= 2]
    lines = [f"start=0\nend={len(nodes) - 1}\n"]
    lines += [f"I={i}\tt={t:.2f}\tW={w}\tv=1\n" for i, (w, t) in enumerate(nodes)]
    lines += [f"J={j}\tS={s}\tE={e}\ta={-10 * rng.random():.6f}\tp=0.5\n" for j, (s, e) in enumerate(links)]
    path.write_text("".join(lines), encoding="utf-8")


def enumerate_texts(lattice):
    """text -> best (score, am, lm) over all paths."""
    found = {}

    def walk(node, words, am, lm):
        if node == lattice.end:
            text = " ".join(words[1:-1])
            score = am + LW * lm + WIP * (len(words) - 1)
            if text and (text not in found or score > found[text][0]):
                found[text] = (score, am, lm)
            return
        for target, acoustic in lattice.out[node]:
            word = lattice.word[target]
            if word is None:
                walk(target, words, am + acoustic, lm)
            else:
                before = words[-2] if len(words) > 1 else None
                walk(target, words + [word], am + acoustic, lm + trigram(word, words[-1], before))

    walk(lattice.start, [START], 0.0, 0.0)
    return found


class Search(unittest.TestCase):
    def test_order_texts_and_scores_are_those_of_the_enumeration(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lattice"
            for seed in range(60):
                random_lattice(random.Random(seed), path)
                lattice = Lattice(path, 0.0)
                self.assertEqual(lattice.word[lattice.end], END)
                expected = sorted(enumerate_texts(lattice).items(), key=lambda i: -i[1][0])
                got = nbest(lattice, trigram, 15, LW, WIP)
                self.assertEqual([g[0] for g in got], [t for t, _ in expected[:15]], f"seed {seed}")
                for (_, *scores), (_, wanted) in zip(got, expected):
                    for a, b in zip(scores, wanted):
                        self.assertAlmostEqual(a, b, places=9)

    def test_links_of_small_posterior_are_dropped(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lattice"
            path.write_text(
                "start=0\nend=3\n"
                "I=0\tt=0.0\tW=!SENT_START\tv=1\nI=1\tt=1.0\tW=a\tv=1\nI=2\tt=1.0\tW=b\tv=1\nI=3\tt=2.0\tW=!SENT_END\tv=1\n"
                "J=0\tS=0\tE=1\ta=-1.0\tp=0.9\nJ=1\tS=1\tE=3\ta=-1.0\tp=0.9\n"
                "J=2\tS=0\tE=2\ta=-1.0\tp=1e-9\nJ=3\tS=2\tE=3\ta=-1.0\tp=1e-9\n",
                encoding="utf-8",
            )
            self.assertEqual([h[0] for h in nbest(Lattice(path, 1e-6), trigram, 10, LW, WIP)], ["a"])
            self.assertEqual(len(nbest(Lattice(path, 0.0), trigram, 10, LW, WIP)), 2)


if __name__ == "__main__":
    unittest.main()
