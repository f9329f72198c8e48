#!/usr/bin/env python3
"""Prints the size of the npm package, raw and compressed with brotli, and fails if it exceeds web/budget.json."""

import json
import pathlib
import subprocess
import sys

WEB = pathlib.Path(__file__).resolve().parent.parent / "web"


def brotli(path: pathlib.Path) -> int:
    """Bytes of the file at brotli's highest level."""
    command = ["brotli", "--quality=11", "--lgwin=24", "--stdout", str(path)]
    return len(subprocess.run(command, check=True, capture_output=True).stdout)


def main() -> int:
    over = False
    for name, budget in json.loads((WEB / "budget.json").read_text()).items():
        files = sorted(path for pattern in budget["files"] for path in WEB.glob(pattern))
        if not files:
            print(f"{name}: no file matches {', '.join(budget['files'])} in web/", file=sys.stderr)
            return 1
        raw = sum(path.stat().st_size for path in files)
        sent = sum(brotli(path) for path in files)
        limit = budget["brotli"]
        over |= sent > limit
        verdict = "OVER BUDGET" if sent > limit else "within budget"
        goal = "" if sent <= budget["goal"] else f", above the goal of {budget['goal']:,}"
        print(f"{name:14} {raw:>11,} bytes, {sent:>9,} as brotli, {verdict} of {limit:,}{goal}")
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
