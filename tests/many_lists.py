#!/usr/bin/env python3
"""Rescores two million short lists from a pipe, and checks memory, order and --resume.

    python3 tests/many_lists.py [--lists 2000000] [--kills 10] [--lorb target/release/lorb] [--base tests/golden/tiny]

The first run is undisturbed: its memory must not grow with the number of lists, and the order must be kept. The second is
killed at random moments and resumed from the same pipe; its output must be the same, byte for byte. Ends with 1 if a check
fails. The lists need about 300 MB in a temporary directory.
"""

import argparse
import filecmp
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIECE = 1 << 20
# Growth between the first tenth and the end, in kB: far less than the lists, which are hundreds of MB.
GROWTH = 32 << 10


def write_lists(path, count):
    words = ["turn", "on", "off", "the", "light", "set", "a", "timer"]
    with open(path, "w") as file:
        for at in range(count):
            text = f"{words[at % 8]} {words[at // 8 % 8]}"
            nbest = [{"text": text, "score": -1.0}, {"text": text + " please", "score": -1.5}]
            file.write(json.dumps({"id": f"u{at}", "nbest": nbest}) + "\n")


def memory(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def feed(path, pipe):
    """Copies a file into a pipe until its reader ends."""
    try:
        with open(path, "rb") as file:
            while piece := file.read(PIECE):
                pipe.write(piece)
        pipe.close()
    except (BrokenPipeError, OSError):
        pass


def start(command, directory, lists):
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    threading.Thread(target=feed, args=(lists, process.stdin), daemon=True).start()
    return process


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lists", type=int, default=2_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lorb", type=Path, default=ROOT / "target/release/lorb")
    parser.add_argument("--base", type=Path, default=ROOT / "tests/golden/tiny")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        lists = directory / "lists.jsonl"
        write_lists(lists, given.lists)
        base = given.base.resolve()
        command = [str(given.lorb.resolve()), "rescore", "-q", "--device", "cpu", "--model", str(base), "--adapter",
                   str(base / "adapter"), "--beta", "1", "-"]

        began = time.monotonic()
        process = start([*command, "-o", "expected"], directory, lists)
        sizes = []
        while process.poll() is None:
            try:
                sizes.append(memory(process.pid))
            except OSError:
                break
            time.sleep(0.1)
        said = process.stderr.read().decode()
        seconds = time.monotonic() - began
        if process.wait() != 0:
            print(f"failed: {said}")
            return 1
        sizes = [size for size in sizes if size > 0]
        early, late = max(sizes[:max(1, len(sizes) // 10)]), max(sizes)
        print(f"{given.lists} lists in {seconds:.1f} s; memory {early >> 10} MB in the first tenth, {late >> 10} MB at most")
        if late > early + GROWTH:
            print("failed: memory grows with the number of lists")
            return 1
        with open(directory / "expected") as file:
            count = 0
            for count, line in enumerate(file, 1):
                if not line.startswith(f'{{"id":"u{count - 1}",'):
                    print(f"failed: line {count} is out of order: {line[:60]}")
                    return 1
        if count != given.lists:
            print(f"failed: {count} lists")
            return 1

        resumed = [*command, "-o", "out", "--resume"]
        kills, runs = 0, 0
        while kills < given.kills:
            process = start(resumed, directory, lists)
            time.sleep(rng.uniform(0, 0.7 * seconds))
            kills += process.poll() is None
            runs += 1
            process.kill()
            process.wait()
        process = start(resumed, directory, lists)
        said = process.stderr.read().decode()
        if process.wait() != 0:
            print(f"failed: {said}")
            return 1
        same = filecmp.cmp(directory / "expected", directory / "out", shallow=False)
        left = [name for name in os.listdir(directory) if name.startswith(".lorb")]
        print(f"{kills} of {runs} runs were killed; the output is {'the same' if same else 'another one'}")
        return 0 if same and not left else 1


if __name__ == "__main__":
    sys.exit(main())
