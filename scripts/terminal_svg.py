#!/usr/bin/env python3
"""Renders the output of a program as an SVG picture of a terminal:

    script -qec "lorb demo 2> /dev/null" demo.txt        # without its first and last line
    python3 scripts/terminal_svg.py "lorb demo" < demo.txt > docs/images/demo.svg

Colours and bold are taken from the escape codes. Text in the picture is text, so it can be searched and diffed.
"""

import html
import re
import sys

COLOURS = {"31": "#f47067", "32": "#8ddb8c", "33": "#f69d50", "34": "#6cb6ff", "35": "#dcbdfb", "36": "#96d0ff", "90": "#909dab"}
BACK, TEXT, FRAME = "#1c2128", "#d5dde5", "#373e47"
SIZE, LINE, WIDTH, PADDING, TOP = 14, 20, 8.43, 20, 40
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


def spans(line):
    """(text, style) for each run of one style."""
    style = {}
    at = 0
    for match in [*ESCAPE.finditer(line), None]:
        text = line[at : match.start() if match else len(line)]
        if text:
            yield text, " ".join(f'{name}="{value}"' for name, value in style.items())
        if match is None:
            return
        at = match.end()
        for code in match.group(1).split(";") if match.group(1) else ["0"]:
            if code == "0":
                style = {}
            elif code == "1":
                style["font-weight"] = "bold"
            elif code == "9":
                style["text-decoration"] = "line-through"
            elif code in COLOURS:
                style["fill"] = COLOURS[code]


def picture(command, output):
    lines = [f"\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m", *output.rstrip().split("\n")]
    columns = max(len(ESCAPE.sub("", line)) for line in lines)
    width, height = round(2 * PADDING + WIDTH * columns), TOP + LINE * len(lines) + PADDING
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">'
    yield f"<title>{html.escape(command)}</title>"
    yield f'<rect width="{width}" height="{height}" rx="8" fill="{BACK}" stroke="{FRAME}"/>'
    for at, fill in enumerate(["#f47067", "#f69d50", "#8ddb8c"]):
        yield f'<circle cx="{PADDING + 2 + 18 * at}" cy="18" r="5.5" fill="{fill}"/>'
    yield f'<g fill="{TEXT}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="{SIZE}">'
    for row, line in enumerate(lines):
        # Each run has its own position, so that columns align in any monospace font.
        column, y = 0, TOP + LINE * row + SIZE
        for text, style in spans(line):
            x, length = PADDING + WIDTH * column, WIDTH * len(text)
            column += len(text)
            if text.strip():
                attributes = f'x="{x:.1f}" y="{y}" textLength="{length:.1f}" xml:space="preserve"'
                yield f"<text {attributes}{' ' + style if style else ''}>{html.escape(text, quote=False)}</text>"
    yield "</g>\n</svg>"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    text = sys.stdin.read().replace("\r\n", "\n")
    # `script` adds a line before and after the output.
    kept = [line for line in text.split("\n") if not line.startswith(("Script started", "Script done"))]
    print("\n".join(picture(sys.argv[1], "\n".join(kept).strip("\n"))))


if __name__ == "__main__":
    main()
