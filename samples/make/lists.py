"""What the programs that make lists have in common: their command line, their workers and their files."""
import argparse
import gzip
import io
import json
import os
import sys
import tempfile
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

# Threads inside a worker would compete with the other workers, and change the order of sums.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")


def arguments(description, reads, **how):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--input", type=Path, required=True, help=reads, **how)
    parser.add_argument("--output", type=Path, required=True, help="a .jsonl.gz file")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--limit", type=int, help="process only the first LIMIT sentences (for a trial)")
    return parser


def settings():
    return json.loads(Path(__file__).with_name("settings.json").read_text(encoding="utf-8"))


def start(start_worker, args, folder):
    start_worker(args, tempfile.mkdtemp(dir=folder))


def write(args, items, start_worker, make, counted):
    """Makes the list of each item in --jobs processes and writes them in order. `make` returns a list, and whether it counts
    for the message."""
    args.output.parent.mkdir(parents=True, exist_ok=True)
    began, lines, count = time.monotonic(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        with get_context("spawn").Pool(args.jobs, partial(start, start_worker, args, folder)) as pool:
            for made, counts in pool.imap(make, items[: args.limit], chunksize=4):
                lines.append(json.dumps(made, ensure_ascii=False) + "\n")
                count += counts
    write_gzip(args.output, lines)
    took = time.monotonic() - began
    print(f"{args.output.name}: {len(lines)} utterances in {took:.0f} s; {counted} {count}", file=sys.stderr)


def read(path):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write_gzip(path, lines):
    """Whole or not at all; without time and name, so the same lines give the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=9, mtime=0) as out:
        out.write("".join(lines).encode())
    part = path.with_name(path.name + ".part")
    part.write_bytes(packed.getvalue())
    part.replace(path)
