#!/usr/bin/env python3
"""Prints the code size of each crate in a wasm module with names, as cargo writes it:

    python3 scripts/wasm_crates.py TARGET/wasm32-unknown-unknown/web/lorb_web.wasm [ROWS]

A function counts for the crate that defines it, and a trait method for the crate of its type, wherever generic code is
instantiated. Data has no names and is one line.
"""

import collections
import pathlib
import re
import sys

CUSTOM, IMPORT, CODE, DATA = 0, 2, 10, 11
FUNCTION, TABLE, MEMORY, GLOBAL = range(4)


class Reader:
    """Reads numbers, names and bytes in sequence."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def more(self) -> bool:
        return self.at < len(self.data)

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at, value, shift = self.at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    def bytes(self) -> bytes:
        length = self.number()
        self.at += length
        return self.data[self.at - length : self.at]

    def limits(self):
        for _ in range(1 + (self.number() & 1)):
            self.number()


def imported_functions(section: Reader) -> int:
    count = 0
    for _ in range(section.number()):
        section.bytes(), section.bytes()
        kind = section.number()
        if kind == FUNCTION:
            count += 1
            section.number()
        elif kind == TABLE:
            section.at += 1
            section.limits()
        elif kind == MEMORY:
            section.limits()
        else:
            section.at += 2
    return count


def function_names(section: Reader) -> dict[int, str]:
    names = {}
    while section.more():
        kind, part = section.number(), Reader(section.bytes())
        if kind == 1:
            for _ in range(part.number()):
                index = part.number()
                names[index] = part.bytes().decode(errors="replace")
    return names


def crate(symbol: str) -> str:
    """The first crate in a mangled name, of either scheme."""
    if symbol.startswith("_R"):
        found = re.search(r"C(?:s[0-9A-Za-z]*_)?(\d+)_?", symbol)
        return symbol[found.end() :][: int(found[1])] if found else "?"
    found = re.match(r"_ZN(\d+)", symbol)
    if not found:
        return "?"
    path = symbol[found.end() :][: int(found[1])]
    # `<a::B as c::D>` is mangled as `_$LT$a..B$u20$as$u20$c..D$GT$`; references, slices and trait objects come before the name.
    inner = re.sub(r"\$(LT|RF|BP|u5b|u28|u7b)\$|\bdyn\$u20\$|mut\$u20\$|const\$u20\$", " ", path)
    words = re.findall(r"[A-Za-z][A-Za-z0-9_]*", inner.strip("_ "))
    return words[0] if words else "?"


def main() -> int:
    module = Reader(pathlib.Path(sys.argv[1]).read_bytes())
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    module.at = 8
    imports, sizes, names, data = 0, [], {}, 0
    while module.more():
        kind, section = module.number(), Reader(module.bytes())
        if kind == IMPORT:
            imports = imported_functions(section)
        elif kind == CODE:
            sizes = [len(section.bytes()) for _ in range(section.number())]
        elif kind == DATA:
            data = len(section.data)
        elif kind == CUSTOM and section.bytes() == b"name":
            section.data, section.at = section.data[section.at :], 0
            names = function_names(section)
    if not names:
        print("the module has no names", file=sys.stderr)
        return 1
    crates = collections.Counter()
    for at, size in enumerate(sizes):
        crates[crate(names.get(imports + at, ""))] += size
    total = sum(sizes)
    print(f"{len(sizes):,} functions of {total:,} bytes; data {data:,} bytes")
    for name, size in crates.most_common(rows):
        print(f"{size:>10,}  {100 * size / total:5.1f} %  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
