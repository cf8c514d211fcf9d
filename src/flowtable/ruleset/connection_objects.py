"""Named objects that rules give to connections and packets.

Ref: net/netfilter/nft_ct.c:nft_ct_helper_obj_eval, nft_ct_timeout_obj_eval,
nft_ct_expect_obj_eval; nft_meta.c:nft_secmark_obj_eval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.ruleset.code import GO_ON, Do
from flowtable.ruleset.types import TIME

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.source import Span

HELPERS: Final = frozenset(
    (
        *("ftp", "tftp", "sip", "irc", "amanda", "sane", "pptp", "snmp", "netbios-ns"),
        *("RAS", "Q.931", "H.245"),
    )
)
"""The helpers of Linux. Ref: net/netfilter/nf_conntrack_*.c."""

_TCP: Final = {
    "syn_sent": 120,
    "syn_recv": 60,
    "established": 432_000,
    "fin_wait": 120,
    "close_wait": 60,
    "last_ack": 30,
    "time_wait": 120,
    "close": 10,
    "syn_sent2": 120,
    "retrans": 300,
    "unack": 300,
}
_UDP: Final = {"unreplied": 30, "replied": 120}
STATES: Final = {"tcp": _TCP, "udp": _UDP, "": {}}
"""The states of each protocol, and their timeouts in seconds where no object says otherwise."""

_NUMBERS: Final = {"tcp": 6, "udp": 17}


@dataclass(slots=True, eq=False)
class CtHelper:
    """``ct helper``: a helper that new connections get.

    Attributes:
        type: name of the helper, such as ``ftp``.
        protocol: ``tcp`` or ``udp``.
        l3proto: ``ip``, ``ip6`` or ``inet``; empty for the family of the table.
    """

    type: str = ""
    protocol: str = ""
    l3proto: str = ""

    def lines(self, *, stateless: bool) -> list[str]:
        """The lines of its block."""
        del stateless
        return [f'type "{self.type}" protocol {self.protocol}', f"l3proto {self.l3proto}"]

    def compile(self, compiler: Compiler) -> Step:
        """Give the helper to a connection that is not confirmed yet and has none."""
        compiler.track()
        number, name = _NUMBERS[self.protocol], self.type

        def run(packet: Packet) -> int:
            connection = packet.ct
            if (
                connection is not None
                and not connection.confirmed
                and packet.l4proto == number
                and connection.helper is None
            ):
                connection.helper = name
            return GO_ON

        return Do(run)


@dataclass(slots=True, eq=False)
class CtTimeout:
    """``ct timeout``: how long connections wait in each state.

    Attributes:
        protocol: ``tcp`` or ``udp``.
        l3proto: ``ip``, ``ip6`` or ``inet``; empty for the family of the table.
        policy: seconds by the name of the state, and where the name stands.
    """

    protocol: str = ""
    l3proto: str = ""
    policy: dict[str, tuple[int, Span]] = field(default_factory=dict)

    def lines(self, *, stateless: bool) -> list[str]:
        """The lines of its block; the policy without what is the default anyway."""
        del stateless
        shown = ", ".join(
            f"{state} : {self.policy[state][0]}"
            for state, seconds in STATES[self.protocol].items()
            if state in self.policy and self.policy[state][0] != seconds
        )
        return [f"protocol {self.protocol}", f"l3proto {self.l3proto}", f"policy = {{ {shown} }}"]

    def compile(self, compiler: Compiler) -> Step:
        """Give the timeouts to a connection that is not confirmed yet."""
        compiler.track()
        number = _NUMBERS[self.protocol]
        seconds = tuple(
            self.policy[state][0] if state in self.policy else default
            for state, default in STATES[self.protocol].items()
        )

        def run(packet: Packet) -> int:
            connection = packet.ct
            if connection is not None and not connection.confirmed and packet.l4proto == number:
                connection.timeouts = seconds
                connection.expires = seconds[0] * SECOND
            return GO_ON

        return Do(run)


@dataclass(slots=True, eq=False)
class CtExpectation:
    """``ct expectation``: a connection that is expected of one that there is.

    Attributes:
        protocol: ``tcp`` or ``udp``.
        dport: destination port of the expected connection.
        timeout: how long it is expected, milliseconds.
        size: how many are expected at a time.
        l3proto: ``ip`` or ``ip6``; empty for the family of the table.
    """

    protocol: str = ""
    dport: int | None = None
    timeout: int | None = None
    size: int | None = None
    l3proto: str = ""

    def lines(self, *, stateless: bool) -> list[str]:
        """The lines of its block."""
        del stateless
        return [
            f"protocol {self.protocol}",
            f"dport {self.dport}",
            f"timeout {TIME.format(self.timeout or 0)}",
            f"size {self.size}",
            f"l3proto {self.l3proto}",
        ]

    def compile(self, compiler: Compiler) -> Step:
        """Go on: nothing in a box makes expected connections."""
        compiler.track()
        return Do(lambda packet: GO_ON)


@dataclass(slots=True, eq=False)
class Secmark:
    """``secmark``: a security context for packets, which only SELinux looks at.

    Attributes:
        context: the context.
    """

    context: str

    def lines(self, *, stateless: bool) -> list[str]:
        """The line of its block."""
        del stateless
        return [f'"{self.context}"']

    def compile(self, compiler: Compiler) -> Step:
        """Go on: nothing in a box reads the mark."""
        del compiler
        return Do(lambda packet: GO_ON)
