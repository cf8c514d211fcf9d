"""Which program has a netlink socket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flowtable.live.ctnetlink.socket import NETLINK_NETFILTER

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")


def socket_owner(port: int) -> str | None:
    """The name of a program that has the netfilter socket with this netlink port; None if none is found.

    Ref: conntrack-tools src/conntrack.c:get_progname.
    """
    inode = _inode(port)
    if inode is None:
        return None
    wanted = f"socket:[{inode}]"
    # Many choose their process ID as their port.
    for process in [_PROC / str(port), *_processes()]:
        try:
            if any(str(file.readlink()) == wanted for file in (process / "fd").iterdir()):
                return (process / "comm").read_text().rstrip("\n")
        except OSError:
            continue
    return None


def _inode(port: int) -> int | None:
    for line in (_PROC / "net" / "netlink").read_text().splitlines()[1:]:
        words = line.split()
        if words[1] == str(NETLINK_NETFILTER) and words[2] == str(port):
            return int(words[-1])
    return None


def _processes() -> Iterator[Path]:
    return (entry for entry in _PROC.iterdir() if entry.name.isdigit())
