"""N best distinct texts of a PocketSphinx word lattice, with separate acoustic and language scores.

PocketSphinx's own nbest() ranks paths on which silences count as words and gives one combined score. Here the
lattice (HTK text format, as written by Lattice.write_htk) is searched by A* with its exact completion score as the
heuristic, so texts come out in the order of

    score = am + lw * lm + wip * (words + 1)          (natural logarithms, higher is better)

where am is the sum of the link scores and lm = ln P(words </s>) under the trigram without any weight. The "+ 1" is
the sentence end, which the recogniser charges as a word.
"""
import heapq
import math
from collections import defaultdict

LOG_BASE = math.log(1.0001)  # PocketSphinx counts log-probabilities in powers of 1.0001
SILENT = {"!NULL", "!SENT_START"}  # fillers: no text, no language score
START, END = "<s>", "</s>"


class Trigram:
    """ln P(word | before, previous) with a cache."""

    def __init__(self, path):
        from pocketsphinx import NGramModel

        self.model, self.cache = NGramModel.readfile(path), {}

    def __call__(self, word, previous, before):
        key = (word, previous, before)
        value = self.cache.get(key)
        if value is None:
            newest_first = [word, previous] if before is None else [word, previous, before]
            value = self.cache[key] = self.model.prob(newest_first) * LOG_BASE
            if len(self.cache) > 1_000_000:
                self.cache.clear()
        return value


class Lattice:
    """Nodes in time order with their outgoing links; links of negligible posterior are dropped."""

    def __init__(self, path, min_posterior):
        times, words, links = {}, {}, []
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                head, _, rest = line.rstrip("\n").partition("\t")
                if head.startswith("J="):
                    source, target, acoustic, posterior = (f[2:] for f in rest.split("\t"))
                    if float(posterior) >= min_posterior:
                        links.append((int(source), int(target), float(acoustic)))
                elif head.startswith("I="):
                    time, word = (f[2:] for f in rest.split("\t")[:2])
                    times[int(head[2:])], words[int(head[2:])] = float(time), word
                elif head.startswith("start="):
                    self.start = int(head[6:])
                elif head.startswith("end="):
                    self.end = int(head[4:])
        self.out = defaultdict(list)
        for source, target, acoustic in links:
            if times[target] > times[source]:
                self.out[source].append((target, acoustic))
        self.order = sorted(times, key=lambda n: (times[n], n))
        self.word = {n: None if w in SILENT else w for n, w in words.items()}
        self.word[self.start], self.word[self.end] = START, END


def completions(lattice, trigram, lw, wip):
    """(node, previous, before) -> [(score to the end, target, acoustic, word, lm)], best link first."""
    contexts = defaultdict(set)
    contexts[lattice.start].add((START, None))
    for node in lattice.order:
        for target, _ in lattice.out[node]:
            word = lattice.word[target]
            for context in contexts[node]:
                contexts[target].add(context if word is None else (word, context[0]))
    steps, best = {}, {}
    for node in reversed(lattice.order):
        for context in contexts[node]:
            key = (node, *context)
            if node == lattice.end:
                best[key] = 0.0
                continue
            found = []
            for target, acoustic in lattice.out[node]:
                word = lattice.word[target]
                if word is None:
                    lm, gain, after = 0.0, acoustic, best.get((target, *context))
                else:
                    lm = trigram(word, *context)
                    gain, after = acoustic + lw * lm + wip, best.get((target, word, context[0]))
                if after is not None:
                    found.append((gain + after, target, acoustic, word, lm))
            if found:
                found.sort(key=lambda f: (-f[0], f[1]))
                steps[key], best[key] = found, found[0][0]
    return steps, best


def nbest(lattice, trigram, n, lw, wip):
    """Up to n of (text, score, am, lm), best first; no empty text."""
    steps, best = completions(lattice, trigram, lw, wip)
    root = (lattice.start, START, None)
    if root not in best:
        return []
    words, parents, children = [START], [-1], {}  # the texts so far as a trie

    def context(text):
        return words[text], words[parents[text]] if parents[text] >= 0 else None

    # A link enters the queue only when the better link from the same place has left it.
    queue, done, out = [], set(), []

    def push(node, text, place, score, am, lm):
        options = steps.get((node, *context(text)), ())
        if place < len(options):
            heapq.heappush(queue, (-(score + options[place][0]), len(words), node, text, place, score, am, lm))

    push(lattice.start, 0, 0, 0.0, 0.0, 0.0)
    while queue and len(out) < n:
        _, _, node, text, place, score, am, lm = heapq.heappop(queue)
        _, target, acoustic, word, step_lm = steps[(node, *context(text))][place]
        push(node, text, place + 1, score, am, lm)
        score, am, lm = score + acoustic, am + acoustic, lm + step_lm
        if word is not None:
            score += lw * step_lm + wip
            if word != END:
                key = (text, word)
                if key not in children:
                    children[key] = len(words)
                    words.append(word)
                    parents.append(text)
                text = children[key]
        if (target, text) in done:  # the same text reached this node before, and no worse
            continue
        done.add((target, text))
        if target != lattice.end:
            push(target, text, 0, score, am, lm)
            continue
        spelled = []
        while text > 0:
            spelled.append(words[text])
            text = parents[text]
        if spelled:
            out.append((" ".join(reversed(spelled)).lower(), score, am, lm))
    return out
