"""Rules into the kernel and out again, through the nft program.

A load is one transaction. What was there before of the tables that it touches is remembered, here
and in a file for the next service should this one die, and put back by ``undo``. A table that
somebody else has replaced meanwhile is theirs, and left alone.
"""

from __future__ import annotations

import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowtable.live.nft.program import NOT_INSTALLED, real_nft

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_SO_NETNS_COOKIE: Final = 71
"""Ref: include/uapi/asm-generic/socket.h."""


class LoadError(Exception):
    """The rules cannot be loaded; the message is what nft says."""


@dataclass(frozen=True, slots=True)
class TableId:
    """A table as its family and name."""

    family: str
    name: str

    def __str__(self) -> str:
        return f"{self.family} {self.name}"


@dataclass(slots=True)
class Memory:
    """What a service remembers of its rules.

    Attributes:
        cookie: the network namespace, by the number that no other one ever has.
        ours: the tables that it loaded, by the handle they got.
        before: listings of what was there in their place, and is to come back.
    """

    cookie: int
    ours: dict[TableId, int] = field(default_factory=dict)
    before: dict[TableId, str] = field(default_factory=dict)


class Rules:
    """The rules that a service has in the kernel."""

    def __init__(self, path: Path) -> None:
        """Take over the rules of a service that died.

        Args:
            path: where it remembered them, and this one does.
        """
        self._path = path
        self._memory = _recall(path, namespace_cookie())

    @property
    def loaded(self) -> bool:
        """Whether there are any."""
        return bool(self._memory.ours)

    def load(self, text: str, declared: Iterable[TableId]) -> None:
        """Load rules in place of those that were loaded before.

        Args:
            text: what ``nft -f`` takes.
            declared: the tables that it declares; it may delete others.

        Raises:
            LoadError: nft refused; everything is as it was.
        """
        here = tables()
        listings = {each: nft("list", "table", each.family, each.name) for each in here}
        mine = self._present(here)
        nft("-f", "-", text="".join(f"delete table {each}\n" for each in mine) + text)
        now = tables()
        memory = self._memory
        # A new handle is a new table: the old one was deleted, by ``flush ruleset`` for example.
        touched = {each for each, handle in here.items() if now.get(each) != handle} | set(declared)
        for each, listing in listings.items():
            if each in touched and each not in mine:
                memory.before.setdefault(each, listing)
        memory.ours = {each: handle for each, handle in now.items() if each in touched or each not in here}
        _remember(self._path, memory)

    def replaced(self) -> list[TableId]:
        """The tables that somebody has deleted or replaced since they were loaded."""
        here = tables()
        return [each for each, handle in self._memory.ours.items() if here.get(each) != handle]

    def undo(self) -> None:
        """Put back what was there before.

        Raises:
            LoadError: nft refused; everything is as it was.
        """
        here = tables()
        mine = self._present(here)
        back = [listing for each, listing in self._memory.before.items() if each in mine or each not in here]
        text = "".join(f"delete table {each}\n" for each in mine) + "\n".join(back)
        if text:
            nft("-f", "-", text=text)
        self.forget()

    def forget(self) -> None:
        """Leave the rules in the kernel for good."""
        self._memory = Memory(self._memory.cookie)
        self._path.unlink(missing_ok=True)

    def _present(self, here: Mapping[TableId, int]) -> list[TableId]:
        """Our tables that are still ours."""
        return [each for each, handle in self._memory.ours.items() if here.get(each) == handle]


def tables() -> dict[TableId, int]:
    """The tables in the kernel with their handles.

    Raises:
        LoadError: nft cannot list them.
    """
    document = json.loads(nft("-j", "list", "tables"))
    found = (each["table"] for each in document["nftables"] if "table" in each)
    return {TableId(each["family"], each["name"]): each["handle"] for each in found}


def namespace_cookie() -> int:
    """The number of this network namespace that no other one has until the machine starts anew."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        return int.from_bytes(any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), "little")


def nft(*arguments: str, text: str = "") -> str:
    """Run nft: what it prints.

    Args:
        arguments: its command line.
        text: what it may read from standard input.

    Raises:
        LoadError: it refuses, or is not there.
    """
    program = real_nft()
    if program is None:
        raise LoadError(NOT_INSTALLED)
    try:
        done = subprocess.run(
            [program, *arguments], input=text, capture_output=True, text=True, check=False, timeout=300
        )
    except subprocess.TimeoutExpired:
        raise LoadError("nft does not come to an end") from None
    if done.returncode:
        raise LoadError(done.stderr.strip() or f"nft ended with {done.returncode}")
    return done.stdout


def nft_at_once(*commands: Sequence[str]) -> list[str]:
    """Run nft several times side by side: what each prints.

    Raises:
        LoadError: one refuses, or nft is not there.
    """
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda arguments: nft(*arguments), commands))


def _recall(path: Path, cookie: int) -> Memory:
    try:
        document = json.loads(path.read_bytes())
        if document["cookie"] != cookie:
            return Memory(cookie)
        return Memory(
            cookie,
            {TableId(family, name): handle for family, name, handle in document["ours"]},
            {TableId(family, name): listing for family, name, listing in document["before"]},
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Memory(cookie)


def _remember(path: Path, memory: Memory) -> None:
    document = {
        "cookie": memory.cookie,
        "ours": [[each.family, each.name, handle] for each, handle in memory.ours.items()],
        "before": [[each.family, each.name, listing] for each, listing in memory.before.items()],
    }
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document))
    new.chmod(0o600)
    new.replace(path)
