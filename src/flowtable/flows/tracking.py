"""What a flowtable asks of that which tracks the connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.conntrack.connection import Connection
    from flowtable.conntrack.settings import Settings
    from flowtable.conntrack.table import OnDestroy


class Tracking(Protocol):
    """Connection tracking of the classic path.

    Attributes:
        on_offloaded: called with an offloaded connection before the classic path looks at it, so
            that it can be told first what the fast path saw.
    """

    on_offloaded: Callable[[Connection], None] | None

    @property
    def settings(self) -> Settings:
        """What the sysctls say."""
        ...

    @property
    def now(self) -> int:
        """The latest time it was told of, nanoseconds."""
        ...

    def subscribe(self, on_destroy: OnDestroy) -> None:
        """Call ``on_destroy(connection, now, reason)`` after each removal from now on."""
        ...

    def set_timeout(self, connection: Connection, expires: int) -> None:
        """Let a confirmed connection time out at ``expires``, nanoseconds."""
        ...

    def offload(self, connection: Connection) -> None:
        """The fast path has a connection: it is OFFLOAD, and its TCP windows are no longer judged."""
        ...

    def take_back(self, connection: Connection) -> None:
        """The classic path has a connection again, with TCP windows as the flowtable left them."""
        ...
