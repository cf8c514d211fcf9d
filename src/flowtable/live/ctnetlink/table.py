"""The connection table of the running kernel, for who follows it."""

from __future__ import annotations

from contextlib import ExitStack
from errno import EOPNOTSUPP
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowtable.live.ctnetlink import request
from flowtable.live.ctnetlink.socket import DESTROYED, UPDATED, Listener, Requester

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowtable.live.ctnetlink.message import Request
    from flowtable.live.ctnetlink.report import Identity, Report

_EVENTS: Final = Path("/proc/sys/net/netfilter/nf_conntrack_events")


class KernelTable:
    """A listener and a requester: what the one writes the other does not hear.

    New connections are not told of: rules mark none with its first packet.
    """

    def __init__(self) -> None:
        """Open it.

        Raises:
            PermissionError: this takes CAP_NET_ADMIN in the namespace.
            OSError: the kernel does not track connections, or does not tell of them.
        """
        if _EVENTS.read_text().strip() == "0":
            raise OSError(EOPNOTSUPP, "net.netfilter.nf_conntrack_events is 0: Linux tells of no connection")
        with ExitStack() as stack:
            self._listener = stack.enter_context(Listener(groups=(UPDATED, DESTROYED)))
            self._requester = stack.enter_context(Requester())
            self._stack = stack.pop_all()

    def fileno(self) -> int:
        """What to wait on for ``read``."""
        return self._listener.fileno()

    def close(self) -> None:
        """Let go of it."""
        self._stack.close()

    def read(self) -> list[Report]:
        """What it tells, except of what was written."""
        return self._listener.read(own=self._requester.port)

    def overrun(self) -> bool:
        """Whether something it told was lost since the last call."""
        return self._listener.overrun()

    def dump(self) -> Iterator[Report]:
        """All of it; nothing else may be asked until it is through."""
        return self._requester.dump(request.dump())

    def look(self, identities: Sequence[Identity]) -> list[Report | None]:
        """Some of it; None for what is not in it."""
        return self._requester.look([request.get(each) for each in identities])

    def write(self, requests: Sequence[Request]) -> list[tuple[int, int]]:
        """Change it; of what failed the place and the error number."""
        return self._requester.send(requests)
