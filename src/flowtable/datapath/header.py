"""The layout as a C header."""

from __future__ import annotations

from ctypes import Array, Structure, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p, sizeof
from typing import TYPE_CHECKING, Any, Final

from flowtable.datapath.layout import CONSTANTS, ENDS, MISSES, STRUCTURES

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES: Final[dict[type, str]] = {
    c_uint8: "ft_u8",
    c_uint16: "ft_u16",
    c_uint32: "ft_u32",
    c_uint64: "ft_u64",
    c_void_p: "ft_u64",
    **{structure: f"struct {name}" for name, structure in STRUCTURES.items()},
}


def layout_header() -> str:
    """``c/layout.h``: constants, reasons and structures, whose offsets the compiler checks."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */"
    yield "/* Written by tools/generate-layout from datapath/layout.py, which says what is what. */"
    yield "#ifndef FT_LAYOUT_H"
    yield "#define FT_LAYOUT_H"
    yield ""
    yield '#include "bytes.h"'
    yield ""
    for name, value in CONSTANTS.items():
        yield f"#define {name} {value:#x}"
    yield ""
    yield from _enumeration("ft_miss", "FT_MISS", [miss.name for miss in MISSES])
    yield from _enumeration("ft_end", "FT_END", [end.name for end in ENDS])
    for name, structure in STRUCTURES.items():
        yield from _structure(name, structure)
    yield "#endif"


def _enumeration(name: str, prefix: str, members: list[str]) -> Iterator[str]:
    yield f"enum {name} {{"
    yield f"\t{prefix}_NONE,"
    for member in members:
        yield f"\t{prefix}_{member},"
    yield f"\t{prefix}_COUNT,"
    yield "};"
    yield ""


def _structure(name: str, structure: type[Structure]) -> Iterator[str]:
    yield f"struct {name} {{"
    for field, kind, *_ in structure._fields_:
        yield f"\t{_declaration(field, kind)};"
    yield "};"
    for field, *_ in structure._fields_:
        offset = getattr(structure, field).offset
        yield f'_Static_assert(__builtin_offsetof(struct {name}, {field}) == {offset}, "layout");'
    yield f'_Static_assert(sizeof(struct {name}) == {sizeof(structure)}, "layout");'
    yield ""


def _declaration(field: str, kind: type) -> str:
    if issubclass(kind, Array):
        item: Any = kind._type_
        return f"{_NAMES[item]} {field}[{kind._length_}]"
    return f"{_NAMES[kind]} {field}"
