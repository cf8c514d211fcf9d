"""The shared library of the fast path, as Python calls it."""

from __future__ import annotations

from ctypes import CDLL, POINTER, c_char_p, c_int, c_uint8, c_uint32, c_uint64, c_void_p
from functools import cache
from importlib.resources import as_file, files
from typing import Any, Final

from flowtable.datapath.layout import Batch, Config, Door, Entry, Flow, Key, Link, LinkKey, NextHop

NAME: Final = "libflowtable.so"
"""The package build puts it beside the sources in C."""

_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "ft_new": (c_void_p, (POINTER(Config),)),
    "ft_free": (None, (c_void_p,)),
    "ft_set_doors": (None, (c_void_p, POINTER(Door), c_uint32)),
    "ft_entry": (POINTER(Entry), (c_void_p, c_uint32)),
    "ft_next_hop": (POINTER(NextHop), (c_void_p, c_uint32)),
    "ft_set_link": (c_int, (c_void_p, POINTER(LinkKey), POINTER(Link))),
    "ft_remove_link": (c_int, (c_void_p, POINTER(LinkKey))),
    "ft_set_flow": (c_int, (c_void_p, c_uint8, POINTER(Key), POINTER(Flow))),
    "ft_remove_flow": (c_int, (c_void_p, c_uint8, POINTER(Key))),
    "ft_memory": (c_uint64, (c_void_p,)),
    "ft_process": (None, (c_void_p, POINTER(Batch))),
    "ft_process_one": (c_uint32, (c_void_p, c_char_p, c_uint32, c_uint32, c_uint64, POINTER(Batch))),
}


@cache
def load() -> CDLL:
    """The library.

    Raises:
        OSError: it is not there, or not for this machine.
    """
    with as_file(files("flowtable.datapath") / NAME) as path:
        library = CDLL(str(path))
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
