#!/usr/bin/env python3
"""Prints the report of gpu_report.sh in Markdown, from the folder in which its parts left their output.

    python3 benches/gpu_report.py gpu-report

Only the standard library. What did not run is in the report, with the reason.
"""
import collections
import json
import math
import pathlib
import sys


def rows_of(path):
    """The lines of JSON in a file; a line that a stopped program left incomplete is skipped."""
    found = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                found.append(row)
    return found


def object_of(path):
    """The JSON object that a file consists of, if it is complete."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def number(value):
    """At least three digits, with as few decimals as possible."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def percent(share):
    return "" if share is None else f"{100 * share:.0f} %"


def table(heads, rows):
    """A Markdown table; the columns after the first two are numbers."""
    print("| " + " | ".join(heads) + " |")
    print("|" + "|".join("---" if at < 2 else "---:" for at in range(len(heads))) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def mean(values):
    """The geometric mean."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


class Report:
    def __init__(self, folder):
        self.folder = folder
        lines = (folder / "parts.tsv").read_text(encoding="utf-8").splitlines()
        self.parts = [line.split("\t") for line in lines]
        self.floor = rows_of(folder / "floor.out")
        self.peak = next((row["gflop_s"] for row in self.floor if row.get("row") == "peak"), None)

    def named(self, prefix):
        """The outputs of the parts `prefix-SHAPE`, by shape."""
        paths = sorted(self.folder.glob(f"{prefix}-*.out"))
        return [(path.stem.removeprefix(f"{prefix}-"), path) for path in paths]

    def head(self):
        print("## Report of benches/gpu_report.sh\n")
        device = next((row for row in self.floor if row.get("row") == "device"), None)
        if device:
            clock = "its timestamps" if device["timestamps"] else "the host's clock, because it has no timestamps"
            print(f"LoRB {device['lorb']} on {device['device']} ({device['device_kind']}); device times by {clock}.\n")
        for name in ("nvidia", "doctor"):
            path = self.folder / f"{name}.out"
            text = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
            if text:
                lines = text.splitlines()
                print(f"{name}: " + "; ".join(line.strip() for line in (lines[-2:] if name == "doctor" else lines)) + "\n")

    def floors(self):
        rows = []
        for row in self.floor:
            kind = row.get("row")
            if kind == "launch":
                how = "new parameters and bind group" if row["new_parameters"] else "the same parameters"
                device = row.get("device_microseconds")
                extra = f", {number(device)} us on the device" if device is not None else ""
                rows.append(("launch", f"{row['per_submit']} a submission, {how}", number(row["microseconds"]) + " us" + extra))
            elif kind == "upload":
                rows.append(("upload", f"{row['bytes']:,} bytes", f"{number(row['microseconds'])} us, {number(row['gb_s'])} GB/s"))
            elif kind == "read":
                rows.append(("read", "one number", f"{number(row['microseconds'])} us, least {number(row['least_microseconds'])} us"))
            elif kind == "peak":
                rows.append(("multiply-adds", "in registers", f"{number(row['gflop_s'])} GFLOP/s"))
            elif kind == "copy":
                rows.append(("copy", "read and written", f"{number(row['gb_s'])} GB/s"))
        if rows:
            print("### Floors and rates\n")
            table(["what", "how", "measured"], rows)

    def tiles(self):
        for shape, path in self.named("tiles"):
            cases = collections.defaultdict(list)
            for row in rows_of(path):
                if row.get("row") == "product":
                    cases[row["kernel"], row["rows"], row["inputs"], row["outputs"]].append(row)
            groups = collections.defaultdict(list)
            for (kernel, count, _, _), variants in cases.items():
                groups[kernel, count].append(variants)
            rows = []
            for (kernel, count), layers in sorted(groups.items()):
                best = [max(layer, key=lambda row: row["gflop_s"]) for layer in layers]
                chosen = [next((row for row in layer if row["chosen"]), None) for layer in layers]
                both = [(one, other) for one, other in zip(best, chosen) if other]
                ratios = [other["gflop_s"] / one["gflop_s"] for one, other in both]
                rate = mean([row["gflop_s"] for row in best])
                names = collections.Counter(row["variant"].removeprefix(kernel + "_") for row in best)
                rows.append(
                    (
                        kernel,
                        ", ".join(f"{name} ({times})" for name, times in names.most_common()),
                        count,
                        number(rate),
                        percent(rate / self.peak) if self.peak else "",
                        percent(mean(ratios)) if ratios else "",
                        percent(min(ratios)) if ratios else "",
                    )
                )
            if rows:
                print(f"### Tiles, layers of {shape}\n")
                heads = ["kernel", "fastest variants (layers)", "rows", "GFLOP/s", "of peak", "LoRB's choice / fastest", "worst layer"]
                table(heads, rows)

    def hosts(self):
        rows = []
        for shape, path in self.named("launch"):
            report = object_of(path)
            for step, work in (report or {}).get("launch_only", {}).items():
                per = number(work["microseconds_per_launch"])
                rows.append((shape, step, number(1e3 * work["seconds"]), number(work["launches"] + work["other_launches"]), per, number(work["uploads"])))
        if rows:
            print("### What a step costs the host, with kernels that return at once\n")
            table(["base", "step", "ms", "launches", "us a launch", "uploads"], rows)

    def predicted(self):
        """Times that the model of a step expects of this device, by shape, step and tokens."""
        return {
            (shape, row["step"], round(row["tokens"])): row["milliseconds"]
            for shape, path in self.named("predictions")
            for row in rows_of(path)
            if row.get("row") == "prediction" and row["device"] == "this device"
        }

    def steps(self):
        predicted = self.predicted()
        shapes = [shape for shape, _ in self.named("steps")]
        sources = [("LoRB, f32", "steps"), ("LoRB, f16 weights", "f16"), ("LoRB, int8 weights", "int8"), ("LoRB, mixed precision", "mixed"), ("LoRB, f16 on matrix units", "matrix")]
        rows = []
        for shape in shapes:
            base = {}
            found = []
            for what, prefix in sources:
                for row in rows_of(self.folder / f"{prefix}-{shape}.out"):
                    # Only rescoring runs on matrix units.
                    if row.get("row") != "step" or (prefix == "matrix" and row["step"] == "training"):
                        continue
                    rate = 1e3 * row["hypotheses"] / row["milliseconds"]
                    key = row["step"], row["batch_tokens"]
                    if prefix == "steps":
                        base[key] = rate
                    expected = predicted.get((shape, *key)) if prefix == "steps" else None
                    found.append((key, what, row["milliseconds"], row.get("device_milliseconds"), expected, rate, row["gflop_s"]))
            for row in rows_of(self.folder / f"torch-{shape}.out"):
                if "mode" in row:
                    key = row["step"], row["batch_tokens"]
                    what = f"PyTorch {row['torch']} + PEFT, {row['mode']}"
                    found.append((key, what, row["milliseconds"], row.get("device_milliseconds"), None, row["hypotheses_s"], None))
            compared = object_of(self.folder / f"burn-{shape}.out")
            tokens = next(iter(base), (None, 0))[1]
            for step in ("training", "rescoring"):
                burn = (compared or {}).get(step, {}).get("composed")
                if burn:
                    what = "burn's own operations, without autotune and fusion"
                    found.append(((step, tokens), what, 1e3 * burn["seconds"], None, None, burn["hypotheses_s"], burn["gflop_s"]))
            order = list(dict.fromkeys(key for key, *_ in found))
            for key in sorted(order, key=lambda key: (key[0] != "training", key[1])):
                for _, what, time, device, expected, rate, gflop_s in [row for row in found if row[0] == key]:
                    ours = base.get(key)
                    rows.append(
                        (
                            f"{shape}, {key[0]}, {key[1]:,} tokens",
                            what,
                            number(time),
                            number(device),
                            number(expected),
                            number(rate),
                            number(gflop_s),
                            percent(gflop_s / self.peak) if gflop_s and self.peak else "",
                            number(ours / rate) if ours and what != "LoRB, f32" else "",
                        )
                    )
        print("### Steps\n")
        heads = ["step", "with", "ms", "device ms", "predicted ms", "hypotheses/s", "GFLOP/s", "of peak", "speed of LoRB, f32 / this"]
        missing = [(name, f"{state}: {why}" if why else state, *[""] * 7) for name, state, _, why in self.parts if state != "ok"]
        left = [
            (name, f"NOT RUN: {row['what']}: {row['why']}", *[""] * 7)
            for name, *_ in self.parts
            for row in rows_of(self.folder / f"{name}.out")
            if row.get("row") == "left_out"
        ]
        table(heads, rows + missing + left)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    report = Report(pathlib.Path(sys.argv[1]))
    report.head()
    report.floors()
    report.tiles()
    report.hosts()
    report.steps()


if __name__ == "__main__":
    main()
