"""The shared library that takes captures by the hundred packets, as Python calls it."""

from __future__ import annotations

import sys
from ctypes import CDLL, POINTER, Structure, addressof, c_int, c_int64, c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.packet.burst import Burst

NAME: Final = "libcapture.so"
"""The package build puts it beside the sources in C."""


class Interface(Structure):
    """How an interface of a pcapng file counts time; as in C.

    A multiplier of 0 leaves its packets to Python.
    """

    _fields_ = (("multiplier", c_uint64), ("offset", c_int64))


class Packets(Structure):
    """A burst, and which of its packets went out; as in C."""

    _fields_ = (
        ("offsets", c_void_p),
        ("lengths", c_void_p),
        ("devices", c_void_p),
        ("times", c_void_p),
        ("outgoing", c_void_p),
        ("room", c_uint32),
        ("count", c_uint32),
    )


_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "ft_scan_pcapng": (
        c_uint32,
        (c_void_p, c_uint32, c_uint32, c_int, c_void_p, c_uint32, POINTER(Packets)),
    ),
    "ft_scan_pcap": (c_uint32, (c_void_p, c_uint32, c_uint32, c_int, c_uint32, POINTER(Packets))),
    "ft_sift": (
        c_uint32,
        (
            *(c_void_p, POINTER(Packets), c_uint32, c_uint64, c_void_p, c_void_p, c_void_p, c_uint32),
            *(POINTER(c_uint64), POINTER(c_uint32 * 3), POINTER(Packets)),
        ),
    ),
    "ft_write_pcapng": (c_uint64, (c_void_p, POINTER(Packets), c_void_p, c_void_p)),
    "ft_write_pcap": (c_uint64, (c_void_p, POINTER(Packets), c_void_p)),
}


@cache
def load() -> CDLL:
    """The library.

    Raises:
        OSError: it is not there, or not for this machine.
    """
    if sys.byteorder != "little":
        raise OSError(f"{NAME} is for little-endian machines")
    with as_file(files("flowtable.capture") / NAME) as path:
        library = CDLL(str(path))
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def packets(burst: Burst, outgoing: bytearray | None = None) -> Packets:
    """A burst as C sees it, whose arrays have to stay where they are."""
    arrays = (burst.offsets, burst.lengths, burst.devices, burst.times)
    places: Iterable[int] = (each.buffer_info()[0] for each in arrays)
    return Packets(*places, None if outgoing is None else address(outgoing), burst.room, burst.count)


def address(memory: bytearray) -> int:
    """Where memory is that is neither moved nor freed while C sees it."""
    return addressof((c_uint8 * len(memory)).from_buffer(memory))
