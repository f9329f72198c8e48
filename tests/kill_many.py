#!/usr/bin/env python3
"""Kills and doubles runs of the program at random moments, and checks that nothing is lost and nothing is doubled.

    python3 tests/kill_many.py [--runs 200] [--seed 1] [--lorb target/release/lorb] [--base tests/golden/tiny]

Each case is checked after every kill, and continued as a user would. Prints a table, and ends with 1 if a run failed.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAIR = ["adapter_config.json", "adapter_model.safetensors"]
SIGNALS = {"KILL": signal.SIGKILL, "INT": signal.SIGINT, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP}
STUDY = """
name = "kills"
bases = ["base"]
[target]
name = "home"
train = ["lists.jsonl"]
dev = ["lists.jsonl"]
test = ["lists.jsonl"]
[training]
epochs = 2
batch_tokens = 40
[learning_rates]
all = 1e-2
[[grid]]
part = "methods"
methods = ["first-pass", "lora", "lorb"]
ranks = [2]
"""


class Lost(Exception):
    """A check failed."""


def check(condition, text):
    if not condition:
        raise Lost(text)


class Work:
    """A directory with a base, an adapter and lists, and reference results of runs that were not killed."""

    def __init__(self, lorb, base, directory, rng):
        self.lorb, self.directory, self.rng = lorb, directory, rng
        self.environment = dict(os.environ, HF_HUB_OFFLINE="1", HOME=str(directory))
        (directory / "base").mkdir()
        for name in ["config.json", "tokenizer.json", "model.safetensors"]:
            shutil.copy(base / name, directory / "base" / name)
        shutil.copy(base / "lists.jsonl", directory / "lists.jsonl")
        (directory / "study.toml").write_text(STUDY)
        lines = (directory / "lists.jsonl").read_text().splitlines(keepends=True)
        (directory / "many.jsonl").write_text("".join(lines * 400))
        self.train = ["train", "-q", "--device", "cpu", "--model", "base", "--train", "lists.jsonl", "--dev",
                      "lists.jsonl", "--batch-tokens", "40"]
        self.long = self.train + ["--epochs", "60", "--checkpoint-every", "2"]
        self.old = self.train + ["--epochs", "1", "--lora-alpha", "64"]
        self.new = self.train + ["--epochs", "1", "--lora-alpha", "16"]
        self.tune = ["tune", "-q", "--device", "cpu", "--model", "base", "--dev", "many.jsonl", "--adapter"]
        self.rescore = ["rescore", "-q", "--device", "cpu", "--model", "base", "--adapter", "old"]
        self.study = ["study", "-q", "study.toml", "--device", "cpu", "-o"]
        self.seconds = {}
        for name, words in [("long", self.long + ["-o", "straight"]), ("old", self.old + ["-o", "old"]),
                            ("new", self.new + ["-o", "new"]), ("study", self.study + ["reference"])]:
            self.timed(name, words)
        shutil.copytree(directory / "old", directory / "tuned")
        self.timed("tune", self.tune + ["tuned"])
        self.timed("rescore", self.rescore + ["many.jsonl", "-o", "expected"])
        self.scores = {name: self.scored(name) for name in ["old", "new", "tuned"]}
        check(self.scores["old"] != self.scores["new"], "the two adapters score alike")

    def timed(self, name, words):
        began = time.monotonic()
        self.done(words)
        self.seconds[name] = time.monotonic() - began

    def start(self, words, **more):
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen([self.lorb, *words], cwd=self.directory, env=self.environment, text=True, **more)

    def done(self, words):
        process = self.start(words)
        said = process.communicate()[1]
        check(process.returncode == 0, f"{' '.join(words)}: {process.returncode}, {said.strip()}")

    def killed(self, words, name, sent):
        """Runs a command and kills it at a random moment; returns its code and what it said."""
        process = self.start(words)
        time.sleep(self.rng.uniform(0, 1.1 * self.seconds[name]))
        process.send_signal(SIGNALS[sent])
        said = process.communicate()[1]
        check("panicked" not in said, said)
        check(process.returncode in (0, 1, -SIGNALS[sent]), f"code {process.returncode}: {said}")
        check(process.returncode != 1 or said.count("error: ") == 1 and "interrupted" in said, said)
        return process.returncode, said

    def scored(self, adapter):
        command = [self.lorb, "rescore", "-q", "--device", "cpu", "--model", "base", "--adapter", adapter, "lists.jsonl"]
        process = subprocess.run(command, cwd=self.directory, env=self.environment, capture_output=True, text=True)
        check(process.returncode == 0, process.stderr)
        return process.stdout

    def bytes(self, directory):
        return [(self.directory / directory / name).read_bytes() for name in PAIR]

    def clean(self, directory, names):
        found = sorted(entry.name for entry in (self.directory / directory).iterdir())
        check(found == sorted(names), f"{directory} contains {found}")

    def fresh(self, name):
        path = self.directory / name
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        return path

    # The cases: each is one run with its kills.

    def train_resumed(self, sent):
        place = self.fresh("run")
        for attempt in range(20):
            resume = ["--resume"] if (place / "checkpoint.safetensors").exists() else []
            if not resume and (place / PAIR[1]).exists():
                # Killed after the end of the run, in its report. The adapter is refused as an output.
                process = self.start(self.long + ["-o", "run"])
                check("contains an adapter" in process.communicate()[1], "trained again")
                break
            words = self.long + ["-o", "run", *resume]
            if attempt < self.rng.randint(1, 4):
                if self.killed(words, "long", sent)[0] == 0:
                    break
            else:
                self.done(words)
                break
        check(self.bytes("run") == self.bytes("straight"), "the resumed adapter differs")
        self.clean("run", PAIR)

    def train_overwrite(self, sent):
        shutil.copytree(self.directory / "old", self.fresh("place"))
        code, _ = self.killed(self.new + ["-o", "place", "--overwrite"], "new", sent)
        found = self.scored("place")
        check(found in (self.scores["old"], self.scores["new"]), "a mixed adapter")
        check(code != 0 or found == self.scores["new"], "ended with 0, but the adapter is the old one")
        self.done(self.new + ["-o", "place", "--overwrite"])
        check(self.bytes("place") == self.bytes("new"), "the second run gives another adapter")
        self.clean("place", PAIR)

    def two_trainings(self, _):
        self.fresh("shared")
        overwrite = ["--overwrite"] if self.rng.random() < 0.5 else []
        together = self.rng.random() < 0.5
        first = self.start(self.old + ["-o", "shared", *overwrite])
        time.sleep(0 if together else self.rng.uniform(0, 1.2 * self.seconds["old"]))
        second = self.start(self.new + ["-o", "shared", *overwrite])
        said = [first.communicate()[1], second.communicate()[1]]
        codes = [first.returncode, second.returncode]
        check(0 in codes and set(codes) <= {0, 1}, f"{codes}: {said}")
        # With --overwrite the second may start after the end of the first; then its adapter counts.
        check(codes != [0, 0] or overwrite and not together, f"both ended with 0: {said}")
        for code, text in zip(codes, said):
            check(code == 0 or "in use by another" in text or "contains" in text, text)
        winner = "new" if codes[1] == 0 else "old"
        check(self.bytes("shared") == self.bytes(winner), "not the adapter of the run that ended with 0")
        self.clean("shared", PAIR)

    def tune_killed(self, sent):
        shutil.copytree(self.directory / "old", self.fresh("place"))
        code, _ = self.killed(self.tune + ["place"], "tune", sent)
        found = self.bytes("place")
        check(found in (self.bytes("old"), self.bytes("tuned")), "a mixed adapter")
        check(code != 0 or found == self.bytes("tuned"), "ended with 0, but nothing is stored")
        self.done(self.tune + ["place"])
        check(self.bytes("place") == self.bytes("tuned"), "tuned again, it differs")
        self.clean("place", PAIR)

    def study_killed(self, sent):
        self.fresh("cells")
        for _ in range(self.rng.randint(1, 3)):
            self.killed(self.study + ["cells"], "study", sent)
        self.done(self.study + ["cells"])
        check(self.records("cells") == self.records("reference"), "the results differ")
        check(not [e for e in (self.directory / "cells").iterdir() if e.name.startswith(".lorb")], "leftovers")

    def records(self, directory):
        found = {}
        for line in (self.directory / directory / "results.jsonl").read_text().splitlines():
            record = json.loads(line)
            check(record["id"] not in found, f"cell {record['id']} is recorded twice")
            found[record["id"]] = (record["status"], json.dumps(record["domains"], sort_keys=True))
        return found

    def rescore_killed(self, sent):
        results = self.fresh("results")
        results.mkdir()
        code, _ = self.killed(self.rescore + ["many.jsonl", "-o", "results/out"], "rescore", sent)
        self.whole_or_nothing(results / "out", code == 0)
        self.done(self.rescore + ["many.jsonl", "-o", "results/out"])
        self.whole_or_nothing(results / "out", True)
        self.clean("results", ["out"])

    def rescore_resumed(self, sent):
        """Killed up to four times, from a file or from a pipe, and resumed each time."""
        results = self.fresh("results")
        results.mkdir()
        words = self.rescore + ["-o", "results/out", "--resume"]
        for _ in range(self.rng.randint(1, 4)):
            if self.killed(words + ["many.jsonl"], "rescore", sent)[0] == 0:
                break
            self.whole_or_nothing(results / "out", False)
        if self.rng.random() < 0.5:
            self.done(words + ["many.jsonl"])
        else:
            with open(self.directory / "many.jsonl") as lists:
                process = self.start(words + ["-"], stdin=lists)
                said = process.communicate()[1]
                check(process.returncode == 0, f"{process.returncode}: {said}")
        self.whole_or_nothing(results / "out", True)
        self.clean("results", ["out"])

    def rescore_in_pipe(self, sent):
        """A signal to the group of `producer | lorb`, before the producer has sent everything."""
        results = self.fresh("results")
        results.mkdir()
        count = self.rng.choice([0, 1, 5, 200])
        script = (f"{{ head -n {count} many.jsonl; exec sleep 60; }} | "
                  f"{self.lorb} {' '.join(self.rescore)} - -o results/out")
        shell = subprocess.Popen(["sh", "-c", script], cwd=self.directory, env=self.environment, text=True,
                                 stderr=subprocess.PIPE, start_new_session=True)
        time.sleep(self.rng.uniform(0.05, 0.3 + self.seconds["rescore"]))
        os.killpg(shell.pid, SIGNALS[sent])
        said = shell.communicate(timeout=30)[1]
        check(not (results / "out").exists(), f"an interrupted pipe completed a file: {said}")
        left = sorted(entry.name for entry in results.iterdir())
        # With complete lists, the run can be continued.
        check(left in ([], [".lorb-out.partial", ".lorb-out.state"]), f"results contains {left}")
        check(not left or "--resume" in said, f"it is not said how to continue: {said}")

    def whole_or_nothing(self, path, must):
        check(path.exists() or not must, "ended with 0 without a file")
        if path.exists():
            check(path.read_bytes() == (self.directory / "expected").read_bytes(), "half a file")


CASES = [
    ("train, resumed", Work.train_resumed, 4),
    ("train --overwrite", Work.train_overwrite, 4),
    ("two trainings at once", Work.two_trainings, 3),
    ("tune", Work.tune_killed, 3),
    ("study", Work.study_killed, 1),
    ("rescore to a file", Work.rescore_killed, 3),
    ("rescore, resumed", Work.rescore_resumed, 3),
    ("rescore in a pipe", Work.rescore_in_pipe, 2),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lorb", type=Path, default=ROOT / "target/release/lorb")
    parser.add_argument("--base", type=Path, default=ROOT / "tests/golden/tiny")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    order = [case for case in CASES for _ in range(case[2])]
    counts = {name: {sent: [0, 0] for sent in [*SIGNALS, "none"]} for name, _, _ in CASES}
    failures = []
    with tempfile.TemporaryDirectory() as directory:
        work = Work(given.lorb.resolve(), given.base, Path(directory).resolve(), rng)
        for run in range(given.runs):
            name, case, _ = order[run % len(order)]
            sent = rng.choice(["KILL", "KILL", "INT", "TERM", "HUP"]) if case != Work.two_trainings else "none"
            if case == Work.rescore_in_pipe and sent == "KILL":
                sent = "INT"  # A killed pipe cannot report anything.
            counts[name][sent][0] += 1
            try:
                case(work, sent)
            except Lost as lost:
                counts[name][sent][1] += 1
                failures.append(f"run {run}, {name}, {sent}: {lost}")
                print(failures[-1], flush=True)
    print(f"{'case':<24}" + "".join(f"{sent:>10}" for sent in [*SIGNALS, "none"]) + f"{'runs':>8}{'failed':>8}")
    for name, by_signal in counts.items():
        cells = "".join(f"{f'{runs - bad}/{runs}' if runs else '':>10}" for runs, bad in by_signal.values())
        runs, bad = (sum(part) for part in zip(*by_signal.values()))
        print(f"{name:<24}{cells}{runs:>8}{bad:>8}")
    print(f"{given.runs} runs, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
