#!/usr/bin/env python3
"""Makes a wasm module export its table of JavaScript values again.

binaryen 108, the version in Debian, reads the export of a second table as an export of the first. wasm-bindgen modules
have two tables, one of functions and one of JavaScript values, and export the latter. Other modules are not changed.

    python3 scripts/fix_table_export.py module.wasm
"""

import pathlib
import sys

TABLES, EXPORTS = 4, 7
TABLE, EXTERNREF = 1, 0x6F


def number(data: bytes, at: int) -> tuple[int, int]:
    """A LEB128 number and its end position."""
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return value, at


def sections(data: bytes):
    """Id and first byte of each section's contents."""
    at = 8
    while at < len(data):
        kind = data[at]
        length, start = number(data, at + 1)
        yield kind, start
        at = start + length


def table_types(data: bytes, at: int) -> list[int]:
    """Element type of each table."""
    count, at = number(data, at)
    types = []
    for _ in range(count):
        types.append(data[at])
        bounded = data[at + 1] & 1
        _, at = number(data, at + 2)
        if bounded:
            _, at = number(data, at)
    return types


def table_exports(data: bytes, at: int) -> list[int]:
    """The position of the index of each exported table."""
    count, at = number(data, at)
    places = []
    for _ in range(count):
        length, at = number(data, at)
        at += length
        if data[at] == TABLE:
            places.append(at + 1)
        _, at = number(data, at + 1)
    return places


def main() -> int:
    path = pathlib.Path(sys.argv[1])
    data = bytearray(path.read_bytes())
    found = dict(sections(data))
    types, places = table_types(data, found[TABLES]), table_exports(data, found[EXPORTS])
    if types.count(EXTERNREF) != 1 or len(places) != 1 or len(types) > 127:
        print(f"{path}: tables {types}, {len(places)} of them exported: not a wasm-bindgen module", file=sys.stderr)
        return 1
    data[places[0]] = types.index(EXTERNREF)
    path.write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
