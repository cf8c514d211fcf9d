"""Notices that somebody changed the rules in the kernel."""

from __future__ import annotations

import socket
from ctypes import addressof, create_string_buffer
from struct import pack
from typing import Final, NamedTuple

from flowtable.netlink.attribute import attributes
from flowtable.netlink.socket import ADD_MEMBERSHIP, SOL_NETLINK

_NETLINK_NETFILTER: Final = 12
_NFNLGRP_NFTABLES: Final = 7
_NEW_GENERATION: Final = 10 << 8 | 15
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN."""
_SO_ATTACH_FILTER: Final = 26
_HEADER: Final = 16 + 4
"""Of netlink and of nfnetlink."""
_PROCESS: Final = 2
_NAME: Final = 3
_READ: Final = 8192


class Change(NamedTuple):
    """A transaction that changed the rules: the process that made it, and its name; 0 for unknown."""

    pid: int
    name: str


class Generations:
    """The transactions on the rules of this network namespace.

    Ref: net/netfilter/nf_tables_api.c:nf_tables_gen_notify.
    """

    def __init__(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the kernel has no nf_tables, or does not let this process listen.
        """
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
        self._socket.setblocking(False)
        self._ignore_all_else()
        self._socket.bind((0, 0))
        self._socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)

    def _ignore_all_else(self) -> None:
        """A transaction announces everything that it does, and each announcement comes by itself."""
        kind = int.from_bytes(_NEW_GENERATION.to_bytes(2, "little"))
        code = b"".join(
            pack("=HBBI", *each)
            for each in ((0x28, 0, 0, 4), (0x15, 0, 1, kind), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0))
        )
        buffer = create_string_buffer(code, len(code))
        program = pack("HP", len(code) // 8, addressof(buffer))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def fileno(self) -> int:
        """Readable when there is a change."""
        return self._socket.fileno()

    def read(self) -> list[Change]:
        """The changes since the last time."""
        changes = []
        while True:
            try:
                changes.append(read_change(self._socket.recv(_READ)))
            except BlockingIOError:
                return changes
            except OSError:
                # Some got lost: whoever made them.
                changes.append(Change(0, ""))

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def read_change(message: bytes) -> Change:
    """The change that a message announces."""
    said = attributes(message, _HEADER)
    return Change(
        int.from_bytes(said.get(_PROCESS, b"")),
        said.get(_NAME, b"").rstrip(b"\0").decode("utf-8", "replace"),
    )
