"""Jenkins' lookup3, with which Linux spreads packets and connections.

Ref: include/linux/jhash.h; Bob Jenkins, "lookup3.c" (2006).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_M: Final = 0xFFFFFFFF
_GOLDEN: Final = 0xDEADBEEF


def _rotate(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _M


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - c & _M) ^ _rotate(c, 4)
    c = c + b & _M
    b = (b - a & _M) ^ _rotate(a, 6)
    a = a + c & _M
    c = (c - b & _M) ^ _rotate(b, 8)
    b = b + a & _M
    a = (a - c & _M) ^ _rotate(c, 16)
    c = c + b & _M
    b = (b - a & _M) ^ _rotate(a, 19)
    a = a + c & _M
    c = (c - b & _M) ^ _rotate(b, 4)
    b = b + a & _M
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    c = (c ^ b) - _rotate(b, 14) & _M
    a = (a ^ c) - _rotate(c, 11) & _M
    b = (b ^ a) - _rotate(a, 25) & _M
    c = (c ^ b) - _rotate(b, 16) & _M
    a = (a ^ c) - _rotate(c, 4) & _M
    b = (b ^ a) - _rotate(a, 14) & _M
    return (c ^ b) - _rotate(b, 24) & _M


def jhash2(words: Sequence[int], initial: int) -> int:
    """Hash of 32-bit words, 32 bit."""
    return _hash(list(words), _GOLDEN + (len(words) << 2) + initial & _M)


def jhash(data: bytes, initial: int) -> int:
    """Hash of bytes as a little-endian machine has it, 32 bit."""
    padded = data + bytes(-len(data) % 4)
    words = [int.from_bytes(padded[at : at + 4], "little") for at in range(0, len(padded), 4)]
    return _hash(words, _GOLDEN + len(data) + initial & _M)


def _hash(left: list[int], start: int) -> int:
    a = b = c = start
    while len(left) > 3:
        a, b, c = _mix(a + left[0] & _M, b + left[1] & _M, c + left[2] & _M)
        del left[:3]
    if not left:
        return c
    left += [0] * (3 - len(left))
    return _final(a + left[0] & _M, b + left[1] & _M, c + left[2] & _M)


def scale(value: int, below: int) -> int:
    """A 32-bit number mapped onto 0 .. ``below`` - 1. Ref: reciprocal_scale."""
    return value * below >> 32
