#!/usr/bin/env python3
"""Measures bases for docs/BASES.md: size, load time, speed, and WER after adaptation, in f32, f16, int8 and int4.

    python3 scripts/measure_bases.py accuracy WORK --teacher DIR --text sentences.txt
    python3 scripts/measure_bases.py speed    WORK        # on a machine that does nothing else
    python3 scripts/measure_bases.py report   WORK        # tables for docs/BASES.md, and docs/images/bases.svg

The teacher is all-MiniLM-L6-v2 (scripts/fetch-minilm.sh prints its folder), the text that of scripts/built-in-base.sh.
--lorb selects the program. --bases, --domains and --seeds select what to measure; --librispeech PREFIX adds
PREFIX.train.jsonl.gz, PREFIX.dev.jsonl.gz and PREFIX.test.jsonl.gz as a domain, which are not part of the repository.

Every result is a line of WORK/results.jsonl. A run skips what is there, so it can be stopped and started again, and a
later run can add bases, domains, seeds or rounds. Everything runs on the CPU, one process at a time.
"""

import argparse
import gzip
import html
import json
import math
import random
import statistics
import subprocess
import sys
import time
from operator import itemgetter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
FORMATS = ["f32", "f16", "int8", "int4"]
TEACHER = "minilm"
BUILT_IN = "built-in"
# The files of a base that `lorb` reads.
FILES = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
STUDENT = ["--vocabulary", "8000", "--positions", "128"]
# How each base is made of the teacher: the arguments of `lorb distill`.
DISTILLED = {
    "cut4": ["--layers", "4", *STUDENT, "--untrained"],
    "cut3": ["--layers", "3", *STUDENT, "--untrained"],
    "cut2": ["--layers", "2", *STUDENT, "--untrained"],
    # As in scripts/built-in-base.sh.
    "student": ["--layers", "3", *STUDENT, "--lr", "4e-4", "--batch-tokens", "1024", "--evals-per-epoch", "8"],
}
BASES = [TEACHER, "cut4", "cut3", "cut2", "student", BUILT_IN]
LABELS = {
    TEACHER: "MiniLM-L6",
    "cut4": "cut to 4 layers",
    "cut3": "cut to 3 layers",
    "cut2": "cut to 2 layers",
    "student": "student, 3 layers",
    BUILT_IN: "built-in",
}
ALL_LINEAR = ["--lora-target-modules", "all-linear"]
# Those of `lorb demo`.
DEMO = [*ALL_LINEAR, "--batch-tokens", "1024", "--lr", "1.5e-3", "--epochs", "4"]
# The arguments of `lorb train` for each domain.
DOMAINS = {
    "assistant": DEMO,
    "dictation": DEMO,
    "whisper": [*DEMO, "--normalize", "whisper", "--join"],
    "librispeech": ["--lr", "2e-3", "--epochs", "1", "--evals-per-epoch", "1"],
}
DOMAIN_LABELS = {"assistant": "assistant", "dictation": "dictation", "whisper": "Whisper", "librispeech": "LibriSpeech"}
# The domains whose gain the built-in base must keep.
SAMPLE_DOMAINS = ["assistant", "dictation"]
WANTED = 0.8
RESAMPLES = 2000


class Store:
    """The results: one JSON object per line, found by its key."""

    def __init__(self, path):
        self.path = path
        self.lines = []
        if path.exists():
            # A line that was cut off by a kill does not end in a newline.
            whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            path.write_text("".join(whole))
            self.lines = [json.loads(line) for line in whole]

    def find(self, **key):
        return next(self.all(**key), None)

    def all(self, **key):
        return (line for line in self.lines if all(line.get(name) == value for name, value in key.items()))

    def add(self, **line):
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)
        return line


class Study:
    def __init__(self, args):
        self.args = args
        self.work = Path(args.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.store = Store(self.work / "results.jsonl")
        self.counted = {}

    def lorb(self, *arguments, output=False):
        """Runs LoRB, and returns the seconds, or its standard output."""
        command = [self.args.lorb, *map(str, arguments)]
        start = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout if output else time.monotonic() - start

    def lists(self, domain, part):
        if domain == "librispeech":
            return f"{self.args.librispeech}.{part}.jsonl.gz"
        return SAMPLES / domain / f"{part}.jsonl.gz"

    def model(self, base, precision):
        """The value of --model. Makes the base if it is not there."""
        if base == BUILT_IN:
            return BUILT_IN
        if precision == "f32":
            return self.args.teacher if base == TEACHER else self.distilled(base)
        folder = self.work / "bases" / base / precision
        if not (folder / "model.safetensors").exists():
            self.lorb("export", "--model", self.model(base, "f32"), "--precision", precision, "--output", folder, "-q")
        return folder

    def distilled(self, base):
        folder = self.work / "bases" / base / "f32"
        if not (folder / "model.safetensors").exists():
            resume = ["--resume"] if (folder / "checkpoint.safetensors").exists() else []
            say(f"making {base}")
            what = ["--teacher", self.args.teacher, "--text", self.args.text, *DISTILLED[base]]
            seconds = self.lorb("distill", "--device", "cpu", "-q", *what, "--output", folder, *resume)
            self.store.add(kind="made", base=base, seconds=seconds, resumed=bool(resume))
        return folder

    def size(self, base, precision):
        if self.store.find(kind="size", base=base, precision=precision):
            return
        model = self.model(base, precision)
        folder = ROOT / "built-in" if base == BUILT_IN else Path(model)
        size = sum((folder / name).stat().st_size for name in FILES if (folder / name).exists())
        self.store.add(kind="size", base=base, precision=precision, bytes=size)

    def train(self, base, domain, seed):
        folder = self.work / "adapters" / f"{base}-{domain}-{seed}"
        if not self.store.find(kind="train", base=base, domain=domain, seed=seed):
            resume = (folder / "checkpoint.safetensors").exists()
            model = self.model(base, formats(base)[0])
            train, dev = self.lists(domain, "train"), self.lists(domain, "dev")
            say(f"training on {domain}: {base}, seed {seed}")
            seconds = self.lorb(
                *["train", "--model", model, "--train", train, "--dev", dev],
                *["--output", folder, "--seed", seed, "--device", "cpu", "-q", *DOMAINS[domain]],
                "--resume" if resume else "--overwrite",
            )
            say(f"  {seconds:.0f} s")
            self.store.add(kind="train", base=base, domain=domain, seed=seed, seconds=seconds, resumed=resume)
        return folder

    def score(self, base, precision, domain, seed, adapter):
        """Errors of every test list with an adapter, whose weights are those tuned in training."""
        key = {"kind": "score", "base": base, "precision": precision, "domain": domain, "seed": seed}
        if self.store.find(**key):
            return
        self.first_pass(domain, base, precision, adapter)
        chosen = self.rescored(domain, base, precision, adapter)
        errors = [self.errors(domain, reference, text)[0] for reference, text in chosen]
        self.store.add(**key, errors=errors)
        first = self.store.find(kind="first", domain=domain)
        words = sum(first["words"])
        say(f"  {precision}: WER {100 * sum(errors) / words:.2f}, first pass {100 * sum(first['errors']) / words:.2f}")

    def first_pass(self, domain, base, precision, adapter):
        """Errors and reference words of every test list before rescoring. Compares the sums, and those of the first
        rescored lists, with the ones that `lorb eval` counts."""
        if self.store.find(kind="first", domain=domain):
            return
        # With --join, the first pass is the order by the joined probabilities, which rescoring with beta 0 gives.
        pairs = self.rescored(domain, base, precision, adapter, "--beta", "0")
        counts = [self.errors(domain, reference, text) for reference, text in pairs]
        model = ["--model", self.model(base, precision), "--adapter", adapter, "--device", "cpu", "-q"]
        report = json.loads(self.lorb("eval", *model, "--json", self.lists(domain, "test"), output=True))
        chosen = self.rescored(domain, base, precision, adapter)
        after = sum(self.errors(domain, reference, text)[0] for reference, text in chosen)
        errors, words = [errors for errors, _ in counts], [words for _, words in counts]
        mine = (sum(errors), sum(words), after)
        theirs = (report["first_pass"]["errors"], report["first_pass"]["reference_words"], report["rescored"]["errors"])
        if mine != theirs:
            sys.exit(f"{domain}: errors, words and errors after rescoring are {mine} here and {theirs} in `lorb eval`")
        truncated = report["truncated_hypotheses"]
        oracle = report["oracle"]["errors"]
        self.store.add(kind="first", domain=domain, errors=errors, words=words, oracle=oracle, truncated=truncated)

    def rescored(self, domain, base, precision, adapter, *flags):
        """Reference and best text of every test list."""
        model = ["--model", self.model(base, precision), "--adapter", adapter, "--device", "cpu", "-q", *flags]
        output = self.lorb("rescore", *model, self.lists(domain, "test"), output=True)
        lists = [json.loads(line) for line in output.splitlines()]
        return [(one["ref"], one["nbest"][0]["text"]) for one in lists]

    def errors(self, domain, reference, text):
        """Errors and reference words of one text. Normalised texts are compared by `lorb eval`."""
        if domain != "whisper":
            return distance(reference.split(), text.split()), len(reference.split())
        if not self.counted:
            self.counted = {(one["reference"], one["text"]): one["counts"] for one in self.store.all(kind="count")}
        if (reference, text) not in self.counted:
            one = self.work / "one.jsonl"
            one.write_text(json.dumps({"id": "one", "ref": reference, "nbest": [{"text": text, "score": 0}]}) + "\n")
            flags = ["--normalize", "whisper", "--json", "-q"]
            report = json.loads(self.lorb("eval", *flags, one, output=True))["first_pass"]
            counts = report["errors"], report["reference_words"]
            self.counted[(reference, text)] = counts
            self.store.add(kind="count", reference=reference, text=text, counts=counts)
        return self.counted[(reference, text)]

    def accuracy(self):
        for base in self.args.bases:
            for precision in formats(base):
                self.size(base, precision)
        for domain in self.args.domains:
            for seed in self.args.seeds:
                for base in self.args.bases:
                    adapter = self.train(base, domain, seed)
                    for precision in formats(base):
                        self.score(base, precision, domain, seed, adapter)

    def speed(self):
        """Times whole processes, all bases in turn in each round."""
        lists = [SAMPLES / domain / "test.jsonl.gz" for domain in SAMPLE_DOMAINS]
        with gzip.open(lists[0], "rt") as file:
            first = json.loads(file.readline())
        one = self.work / "one-list.jsonl"
        one.write_text(json.dumps({**first, "nbest": first["nbest"][:1]}) + "\n")
        few = self.work / "few-lists.jsonl"
        with gzip.open(SAMPLES / "assistant" / "train.jsonl.gz", "rt") as file:
            few.write_text("".join(file.readline() for _ in range(20)))
        cells = [(base, precision) for base in self.args.bases for precision in formats(base)]
        for base in self.args.bases:
            # What an adapter has learnt does not affect the speed.
            adapter = self.work / "adapters" / f"{base}-speed"
            if not (adapter / "adapter_model.safetensors").exists():
                model = ["--model", self.model(base, formats(base)[0]), "--output", adapter, "--device", "cpu", "-q"]
                few_lists = ["--train", few, "--dev", few, "--epochs", "1", "--overwrite"]
                self.lorb("train", *model, *few_lists, *ALL_LINEAR)
        rounds = {line["round"] for line in self.store.all(kind="speed")}
        begin = max(rounds, default=-1) + 1
        for number in range(begin, begin + self.args.rounds):
            start = min(self.lorb("--version") for _ in range(3))
            self.store.add(kind="start", round=number, seconds=start, load=Path("/proc/loadavg").read_text().split()[0])
            for base, precision in cells:
                model = ["--model", self.model(base, precision), "--adapter", self.work / "adapters" / f"{base}-speed"]
                rescore = ["rescore", *model, "--beta", "1", "--device", "cpu", "-q"]
                if number == begin:
                    # Into the page cache.
                    self.lorb(*rescore, one)
                load = min(self.lorb(*rescore, one) for _ in range(3))
                total = self.lorb(*rescore, *lists)
                cell = {"base": base, "precision": precision}
                self.store.add(kind="speed", **cell, round=number, load=load, total=total)
            say(f"round {number}")


def formats(base):
    """The precisions in which there is a base. The first one is the one that adapters are trained on."""
    return ["int4"] if base == BUILT_IN else FORMATS


def distance(reference, text):
    """Edit distance."""
    row = list(range(len(text) + 1))
    for number, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], number
        for at, other in enumerate(text, 1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (word != other))
    return row[-1]


def say(text):
    print(text, file=sys.stderr, flush=True)


class Resampled:
    """Mean errors over seeds of every base and precision in one domain, for the test lists and for resampled ones.

    A resample draws utterances and, for each base, seeds, both with replacement. All bases get the same utterances, and
    all precisions of a base the same seeds, because their adapters are the same ones.
    """

    def __init__(self, store, domain):
        first = store.find(kind="first", domain=domain)
        runs = {}
        for line in store.all(kind="score", domain=domain):
            runs.setdefault((line["base"], line["precision"]), {})[line["seed"]] = line["errors"]
        self.oracle = first["oracle"] / sum(first["words"])
        self.seeds = {cell: sorted(by_seed) for cell, by_seed in runs.items()}
        self.words, self.first = [sum(first["words"])], [sum(first["errors"])]
        self.errors = {
            cell: [statistics.fmean(map(sum, by_seed.values()))] for cell, by_seed in runs.items()
        }
        random_numbers = random.Random(f"bases {domain}")
        lists = range(len(first["words"]))
        for _ in range(RESAMPLES):
            draw = itemgetter(*random_numbers.choices(lists, k=len(lists)))
            self.words.append(sum(draw(first["words"])))
            self.first.append(sum(draw(first["errors"])))
            positions = {base: [random_numbers.random() for _ in range(16)] for base in BASES}
            for (base, precision), by_seed in runs.items():
                sums = [sum(draw(by_seed[seed])) for seed in sorted(by_seed)]
                chosen = [sums[int(at * len(sums))] for at in positions[base][: len(sums)]]
                self.errors[(base, precision)].append(statistics.fmean(chosen))

    def wer(self, cell):
        return estimate([errors / words for errors, words in zip(self.errors[cell], self.words)])

    def first_wer(self):
        return estimate([errors / words for errors, words in zip(self.first, self.words)])

    def removed(self, cell):
        """Errors of the first pass that rescoring removes."""
        return [first - errors for first, errors in zip(self.first, self.errors[cell])]


def estimate(values):
    """The value for the test lists, and the 95 % interval of the resampled ones, in percent."""
    ordered = sorted(values[1:])
    low, high = ordered[int(0.025 * len(ordered))], ordered[int(0.975 * len(ordered))]
    return 100 * values[0], 100 * low, 100 * high


def kept(domains, cell):
    """The fraction of the errors removed with the teacher in f32 that a base removes too, over all these domains."""
    if not all(cell in domain.errors and (TEACHER, "f32") in domain.errors for domain in domains):
        return None
    of_base = [sum(at) for at in zip(*(domain.removed(cell) for domain in domains))]
    of_teacher = [sum(at) for at in zip(*(domain.removed((TEACHER, "f32")) for domain in domains))]
    return estimate([base / teacher if teacher > 0 else math.inf for base, teacher in zip(of_base, of_teacher)])


def table(head, rows):
    texts = sum(name in ("base", "format") for name in head)
    lines = [head, ["---"] * texts + ["---:"] * (len(head) - texts), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def bold(cell, texts):
    return [f"**{text}**" if text else text for text in texts] if cell == (BUILT_IN, "int4") else texts


def report(study):
    store = study.store
    measured = [domain for domain in DOMAINS if store.find(kind="first", domain=domain)]
    domains = {domain: Resampled(store, domain) for domain in measured}
    cells = [(base, precision) for base in BASES for precision in formats(base)]
    cells = [cell for cell in cells if any(cell in domain.errors for domain in domains.values())]
    sizes = {(line["base"], line["precision"]): line["bytes"] / 1e6 for line in store.all(kind="size")}
    most = max((len(seeds) for domain in domains.values() for seeds in domain.seeds.values()), default=0)

    def name(cell, last):
        return LABELS[cell[0]] if cell[0] != last else ""

    def fewer(cell, group):
        """A note on a cell that has fewer seeds than others."""
        count = min(len(domain.seeds[cell]) for domain in group)
        return f", {count} seed{'s' * (count > 1)}" if count < most else ""

    print("Size of the files in MB\n")
    shown = {cell: f"{size:.1f}" for cell, size in sizes.items()}
    rows = [[LABELS[base], *(shown.get((base, precision), "") for precision in FORMATS)] for base in BASES]
    print(table(["base", *FORMATS], [row for row in rows if any(row[1:])]))

    print(f"WER of the test lists in percent after adaptation, means over {most} seeds\n")
    rows = [["first pass", ""]]
    for domain in domains.values():
        rows[0].append("{:.2f} ({:.2f} to {:.2f})".format(*domain.first_wer()))
    rows.append(["oracle", "", *(f"{100 * domain.oracle:.2f}" for domain in domains.values())])
    last = None
    for cell in cells:
        row = [name(cell, last), cell[1]]
        last = cell[0]
        for domain in domains.values():
            if cell not in domain.errors:
                row.append("")
                continue
            row.append("{:.2f} ({:.2f} to {:.2f}{})".format(*domain.wer(cell), fewer(cell, [domain])))
        rows.append(bold(cell, row))
    print(table(["base", "format", *(DOMAIN_LABELS[domain] for domain in measured)], rows))

    print(f"Gain kept, percent of the errors that {LABELS[TEACHER]} in f32 removes\n")
    sample = [domains[domain] for domain in SAMPLE_DOMAINS if domain in domains]
    groups = {"assistant and dictation": sample} if len(sample) == len(SAMPLE_DOMAINS) else {}
    groups |= {DOMAIN_LABELS[domain]: [domains[domain]] for domain in measured}
    rows, points, last = [], {}, None
    for cell in cells:
        row = [name(cell, last), cell[1], f"{sizes[cell]:.1f}"]
        last = cell[0]
        for at, group in enumerate(groups.values()):
            value = kept(group, cell)
            if at == 0 and value:
                points.setdefault(cell[0], []).append((sizes[cell], *value, cell[1]))
            row.append("{:.0f} ({:.0f} to {:.0f}{})".format(*value, fewer(cell, group)) if value else "")
        rows.append(bold(cell, row))
    print(table(["base", "format", "MB", *groups], rows))

    rounds = list(store.all(kind="speed"))
    if rounds:
        print_speed(store, rounds, sizes)
    print_costs(store)

    value = kept(sample, (BUILT_IN, "int4")) if groups and sample else None
    if value:
        verdict = "yes" if value[0] >= 100 * WANTED else "no"
        certain = "yes" if value[1] >= 100 * WANTED else "no"
        print(f"The built-in base keeps at least {100 * WANTED:.0f} %: {verdict}; the whole interval: {certain}\n")
    if points:
        target = Path(study.args.plot)
        target.write_text(plot(points))
        say(f"{target} written")


def print_speed(store, rounds, sizes):
    starts = [line["seconds"] for line in store.all(kind="start")]
    loads = [float(line["load"]) for line in store.all(kind="start")]
    count = len({line["round"] for line in rounds})
    print(f"Load time and speed, medians of {count} rounds. `lorb --version` takes {statistics.median(starts):.3f} s.")
    print(f"Load average before a round: {min(loads):.1f} to {max(loads):.1f}\n")
    lists = 0
    for domain in SAMPLE_DOMAINS:
        with gzip.open(SAMPLES / domain / "test.jsonl.gz", "rt") as file:
            lists += sum(1 for _ in file)
    by_cell = {}
    for line in rounds:
        by_cell.setdefault((line["base"], line["precision"]), []).append(line)
    rate = {}
    for line in rounds:
        by_round = rate.setdefault((line["base"], line["precision"]), {})
        by_round[line["round"]] = lists / (line["total"] - line["load"])
    teacher = rate.get((TEACHER, "f32"), {})
    rows, last = [], None
    for base in BASES:
        for precision in formats(base):
            cell = base, precision
            if cell not in by_cell:
                continue
            ratios = [value / teacher[number] for number, value in rate[cell].items() if number in teacher]
            load = [1000 * line["load"] for line in by_cell[cell]]
            row = [LABELS[base] if base != last else "", precision, f"{sizes[cell]:.1f}"]
            row += [f"{statistics.median(load):.0f} ({min(load):.0f} to {max(load):.0f})"]
            row += [f"{statistics.median(rate[cell].values()):.0f}"]
            row += [f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else ""]
            rows.append(bold(cell, row))
            last = base
    print(table(["base", "format", "MB", "load, ms", "lists/s", "speed-up"], rows))


def print_costs(store):
    for line in store.all(kind="made", resumed=False):
        print(f"{LABELS[line['base']]}: made in {line['seconds']:.0f} s")
    for domain in DOMAINS:
        for base in BASES:
            runs = store.all(kind="train", base=base, domain=domain, resumed=False)
            runs = [line["seconds"] for line in runs]
            if runs:
                print(f"{domain}, {LABELS[base]}: trained in {min(runs):.0f} to {max(runs):.0f} s")
    print()


# Okabe and Ito's palette for colour-blind readers, as in src/study/report/svg.rs.
COLOURS = {
    TEACHER: "#0072b2",
    "cut4": "#e69f00",
    "cut3": "#009e73",
    "cut2": "#cc79a7",
    "student": "#56b4e9",
    BUILT_IN: "#d55e00",
}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 84, 590, 16, 368


def plot(points):
    """Gain kept by size on a logarithmic axis, a line for each base."""
    everything = [point for series in points.values() for point in series]
    smallest, largest = min(point[0] for point in everything), max(point[0] for point in everything)
    low = min(50, 10 * math.floor(min(point[2] for point in everything) / 10))
    high = max(120, 10 * math.ceil(max(point[3] for point in everything) / 10))
    left, right = math.log(smallest / 1.15), math.log(largest * 1.15)

    def across(size):
        return LEFT + (RIGHT - LEFT) * (math.log(size) - left) / (right - left)

    def down(value):
        return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)

    title = "Gain kept on the assistant and dictation lists, by size of the base"
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{title}</title>",
        "<style>svg{color:#1b1b1b;background:#fff}"
        "@media(prefers-color-scheme:dark){svg{color:#e9e9e9;background:#161616}}</style>",
    ]

    def line(x1, y1, x2, y2, style):
        out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>')

    def text(x, y, anchor, what, style='fill="currentColor"'):
        out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {style}>{html.escape(what)}</text>')

    axis = 'stroke="currentColor" stroke-opacity="0.15"'
    for value in range(low, high + 1, 20 if high - low > 100 else 10):
        line(LEFT, down(value), RIGHT, down(value), axis)
        text(LEFT - 8, down(value) + 4, "end", f"{value} %")
    for size in [2, 5, 10, 20, 50, 100, 200]:
        if left <= math.log(size) <= right:
            line(across(size), TOP, across(size), BOTTOM, axis)
            text(across(size), BOTTOM + 18, "middle", f"{size}")
    text((LEFT + RIGHT) / 2, BOTTOM + 40, "middle", "size of the base, MB")
    middle = (TOP + BOTTOM) / 2
    out.append(
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle" fill="currentColor">'
        f"part of {LABELS[TEACHER]}'s gain, 95 % intervals</text>"
    )
    goal = 'stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="6 5"'
    line(LEFT, down(100 * WANTED), RIGHT, down(100 * WANTED), goal)
    occupied = []
    for number, (base, series) in enumerate(points.items()):
        colour = COLOURS[base]
        placed = []
        for size, value, least, most, precision in sorted(series):
            x = across(size)
            # Intervals of bases of equal size would cover each other.
            while any(abs(x - other) < 6 for other in occupied):
                x += 1
            placed.append((x, value, least, most, precision))
        occupied += [point[0] for point in placed]
        path = " ".join(f"{x:.1f},{down(value):.1f}" for x, value, *_ in placed)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5" stroke-opacity="0.6"/>')
        for x, value, least, most, _ in placed:
            line(x, down(least), x, down(most), f'stroke="{colour}" stroke-width="1.5"')
            out.append(mark(base, x, down(value), colour))
        y = TOP + 12 + 22 * number
        out.append(mark(base, RIGHT + 18, y, colour))
        text(RIGHT + 30, y + 4, "start", LABELS[base])
    notes = ["From right to left:", "f32, f16, int8, int4.", "Dashed: the goal, 80 %."]
    for number, note in enumerate(notes):
        y = TOP + 26 + 22 * len(points) + 18 * number
        text(RIGHT + 12, y, "start", note, 'fill="currentColor" font-size="12"')
    return "\n".join([*out, "</svg>"]) + "\n"


def mark(base, x, y, colour):
    """The shape of each base differs too."""
    if base in (TEACHER, BUILT_IN):
        radius = 6 if base == BUILT_IN else 4.5
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'
    if base == "student":
        corners = [(0, -6), (6, 0), (0, 6), (-6, 0)]
    elif base == "cut4":
        corners = [(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)]
    else:
        side = 1 if base == "cut3" else -1
        corners = [(0, -5.5 * side), (5.5, 4 * side), (-5.5, 4 * side)]
    path = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)
    return f'<polygon points="{path}" fill="{colour}"/>'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "speed", "report"])
    parser.add_argument("work", help="folder for bases, adapters and results")
    parser.add_argument("--lorb", default="lorb", help="the program")
    parser.add_argument("--teacher", help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--text", help="text from which the word pieces and the student come")
    parser.add_argument("--librispeech", help="prefix of the LibriSpeech lists")
    parser.add_argument("--bases", type=lambda text: text.split(","), default=BASES, help=",".join(BASES))
    parser.add_argument("--domains", type=lambda text: text.split(","), default=list(DOMAINS), help=",".join(DOMAINS))
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of speed [default: 5]")
    parser.add_argument("--plot", default=ROOT / "docs" / "images" / "bases.svg", help="file for the plot")
    args = parser.parse_args()
    unknown = [*(set(args.bases) - set(BASES)), *(set(args.domains) - set(DOMAINS))]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if not args.librispeech:
        args.domains = [domain for domain in args.domains if domain != "librispeech"]
    if args.what != "report" and args.bases != [BUILT_IN] and not (args.teacher and args.text):
        parser.error("--teacher and --text are needed for all bases but built-in")
    study = Study(args)
    {"accuracy": study.accuracy, "speed": study.speed, "report": lambda: report(study)}[args.what]()


if __name__ == "__main__":
    main()
