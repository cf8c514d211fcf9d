"""Answering the SYNs of others, so that only clients that exist reach a server.

Ref: net/netfilter/nft_synproxy.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.code import BREAK, GO_ON, Do
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.objects import ObjectKind
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.statements.reference import parse_reference

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_TCP = 6


class Synproxy:
    """What the proxy offers, as an object.

    Attributes:
        mss: the largest segment, None where it is not given.
        wscale: the window scale.
        timestamp: TCP timestamps.
        sack_perm: selective acknowledgements.
    """

    __slots__ = ("mss", "sack_perm", "timestamp", "wscale")

    def __init__(self) -> None:
        self.mss: int | None = None
        self.wscale: int | None = None
        self.timestamp = False
        self.sack_perm = False

    def read(self, parser: Parser) -> None:
        """Read a line of its block."""
        if parser.accept_word("mss"):
            self.mss = parser.number("number")
            if parser.at_separator():
                parser.advance()
            parser.expect_word("wscale")
            self.wscale = parser.number("number")
        elif parser.at_word("timestamp", "sack-perm"):
            while word := parser.accept_word("timestamp", "sack-perm"):
                self.timestamp = self.timestamp or word == "timestamp"
                self.sack_perm = self.sack_perm or word == "sack-perm"
        else:
            raise parser.unexpected()

    def lines(self, *, stateless: bool) -> list[str]:
        """The lines of its block."""
        del stateless
        lines = [] if self.mss is None else [f"mss {self.mss}", f"wscale {self.wscale or 0}"]
        if self.timestamp or self.sack_perm:
            lines.append(f"{'timestamp' if self.timestamp else ''} {'sack-perm' if self.sack_perm else ''}")
        return lines

    def compile(self, compiler: Compiler) -> Step:
        """Other protocols than TCP end the rule; TCP goes on: the box does not answer for servers."""
        compiler.track()

        def run(packet: Packet) -> int:
            return GO_ON if packet.l4proto == _TCP and packet.thoff and not packet.fragoff else BREAK

        return Do(run)


def parse_synproxy(parser: Parser) -> Synproxy:
    """Read a proxy in one line, as a command can declare it: ``mss 1460 wscale 7 timestamp sack-perm``."""
    proxy = Synproxy()
    parser.expect_word("mss")
    proxy.mss = parser.number("number")
    if not parser.at_word("wscale"):
        raise parser.unexpected("newline", "semicolon", "wscale")
    parser.advance()
    proxy.wscale = parser.number("number")
    proxy.timestamp = parser.accept_word("timestamp") is not None
    proxy.sack_perm = parser.accept_word("sack-perm") is not None
    return proxy


class SynproxyStatement(Statement):
    """``synproxy mss 1460 wscale 7 timestamp sack-perm``.

    Attributes:
        proxy: what it offers.
    """

    __slots__ = ("proxy",)

    def __init__(self, proxy: Synproxy, span: Span) -> None:
        super().__init__(span)
        self.proxy = proxy

    @property
    def hooks(self) -> frozenset[Hook]:
        """Ref: net/netfilter/nft_synproxy.c:nft_synproxy_validate."""
        return frozenset((Hook.INPUT, Hook.FORWARD))

    @property
    def opaque(self) -> bool:
        """Only a kernel can answer for a server."""
        return True

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it."""
        del stateless
        proxy = self.proxy
        words = ["synproxy"]
        if proxy.mss is not None or proxy.wscale is not None:
            words.append(f"mss {proxy.mss or 0} wscale {proxy.wscale or 0}")
        words.extend(["timestamp"] if proxy.timestamp else [])
        words.extend(["sack-perm"] if proxy.sack_perm else [])
        return " ".join(words)

    def json(self) -> Json:
        """What is offered."""
        proxy = self.proxy
        flags = [name for name, on in (("timestamp", proxy.timestamp), ("sack-perm", proxy.sack_perm)) if on]
        written: dict[str, Json] = {}
        if proxy.mss is not None:
            written["mss"] = proxy.mss
        if proxy.wscale is not None:
            written["wscale"] = proxy.wscale
        if flags:
            written["flags"] = flags
        return {"synproxy": written or None}

    def compile(self, compiler: Compiler) -> Step:
        """As the object does."""
        return self.proxy.compile(compiler)


def parse(parser: Parser) -> Statement:
    """Read ``synproxy [mss N] [wscale N] [timestamp] [sack-perm]`` or ``synproxy name NAME``."""
    start = parser.advance().span
    if parser.accept_word("name"):
        return parse_reference(parser, ObjectKind.SYNPROXY, start)
    proxy = Synproxy()
    while word := parser.accept_word("mss", "wscale", "timestamp", "sack-perm"):
        match word:
            case "mss":
                proxy.mss = parser.number("number") & 0xFFFF
            case "wscale":
                proxy.wscale = parser.number("number") & 0xFF
            case "timestamp":
                proxy.timestamp = True
            case _:
                proxy.sack_perm = True
    return SynproxyStatement(proxy, parser.since(start))
