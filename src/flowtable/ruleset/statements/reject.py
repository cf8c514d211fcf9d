"""Refusals that tell the sender.

Ref: net/netfilter/nft_reject_inet.c:nft_reject_inet_eval, nft_reject_ipv4.c, nft_reject_ipv6.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, IPV6, TCP
from flowtable.ruleset.code import BREAK, DROPPED, Do
from flowtable.ruleset.environment import RejectKind, RejectWith
from flowtable.ruleset.expressions.payload import imply_network, imply_transport
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.lexer import Kind
from flowtable.ruleset.selector import Identity, Layer
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.syntax import Word
from flowtable.ruleset.types import ICMP_CODE, ICMPV6_CODE, ICMPX_CODE
from flowtable.ruleset.values import scalar

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_CODES: Final = {"icmp": ICMP_CODE, "icmpv6": ICMPV6_CODE, "icmpx": ICMPX_CODE}
_NETWORKS: Final = {"icmp": "ip", "icmpv6": "ip6"}
_PORT_UNREACHABLE: Final = {"icmp": 3, "icmpv6": 4, "icmpx": 1}
_HOOKS: Final = frozenset((Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.INGRESS))
_ICMPX: Final = {0: (0, 0), 1: (3, 4), 2: (1, 3), 3: (13, 1)}
"""An ``icmpx`` code as ICMP and as ICMPv6 code. Ref: net/netfilter/nft_reject.c."""


class Reject(Statement):
    """``reject`` in all its forms.

    Attributes:
        reply: ``icmp``, ``icmpv6``, ``icmpx``, ``tcp reset``, or empty where nothing is written.
        code_word: the code as written, None where none is.
        code: the code, once checked.
        bare: it is printed without its reply, being the default.
    """

    __slots__ = ("bare", "code", "code_word", "reply", "reply_span")
    terminal = True

    def __init__(self, span: Span, reply: str, code_word: Word | None, reply_span: Span) -> None:
        super().__init__(span)
        self.reply = reply
        self.code_word = code_word
        self.reply_span = reply_span
        self.code = 0
        self.bare = False

    def check(self, rule: RuleContext) -> Reject:
        """Settle which answer fits the family, and imply the protocol it needs."""
        if rule.family is Family.ARP:
            raise rule.error("cannot use reject with arp", self.span)
        if rule.network is not None and rule.network.protocol == "arp":
            raise rule.error("cannot reject this network family", self.span, rule.network.span)
        if not self.reply:
            known = rule.network.protocol if rule.network else ""
            self.reply = {"ip": "icmp", "ip6": "icmpv6"}.get(known, "icmpx")
        if self.reply == "tcp reset":
            self._check_reset(rule)
            return self
        if self.code_word is None:
            self.code = _PORT_UNREACHABLE[self.reply]
        else:
            code = scalar(self.code_word, _CODES[self.reply])
            assert isinstance(code, int)
            self.code = code
        at = self.code_word.span if self.code_word else self.span
        if self.reply != "icmpx":
            network = _NETWORKS[self.reply]
            if rule.network is not None and rule.network.protocol != network:
                raise rule.error(
                    "conflicting protocols specified: ip vs ip6", at, rule.network.span or self._keyword
                )
            imply_network(rule, network, self.span)
        elif rule.family in (Family.IP, Family.IP6):
            raise rule.error("abstracted ICMP unreachable not supported", at, self._keyword)
        elif self.code not in _ICMPX:
            raise rule.error("Could not process rule: Invalid argument", self._keyword)
        if self.code == _PORT_UNREACHABLE[self.reply]:
            self.bare = rule.family in (Family.IP, Family.IP6) or rule.network is None
        return self

    def _check_reset(self, rule: RuleContext) -> None:
        known = rule.transport
        if known is None:
            imply_transport(rule, TCP, self.span)
        elif known.protocol != "tcp":
            raise rule.error("you cannot use tcp reset with this protocol", self._keyword, known.span)

    @property
    def hooks(self) -> frozenset[Hook]:
        """Where there is a sender to answer to. Ref: net/netfilter/nft_reject.c:nft_reject_validate."""
        return _HOOKS

    @property
    def _keyword(self) -> Span:
        return self.span._replace(last=self.span.first + 5)

    @property
    def headers(self) -> tuple[Identity, ...]:
        """An ICMP answer makes a test of the network protocol needless to show."""
        network = _NETWORKS.get(self.reply)
        return () if network is None else (Identity(Layer.NETWORK, network),)

    def text(self, *, stateless: bool = False) -> str:
        """The default of the family is left out."""
        del stateless
        if self.bare:
            return "reject"
        if self.reply == "tcp reset":
            return "reject with tcp reset"
        return f"reject with {self.reply} {_CODES[self.reply].format(self.code)}"

    def json(self) -> Json:
        """The answer, defaults included."""
        if self.reply == "tcp reset":
            return {"reject": {"type": "tcp reset"}}
        return {"reject": {"type": self.reply, "expr": _CODES[self.reply].json(self.code)}}

    def compile(self, compiler: Compiler) -> Step:
        """Answer and drop."""
        reject = compiler.environment.reject
        replies: dict[int, RejectWith]
        if self.reply == "tcp reset":
            reset = RejectWith(RejectKind.TCP_RESET)
            replies = {IPV4: reset, IPV6: reset}
        elif self.reply == "icmpx":
            four, six = _ICMPX[self.code]
            replies = {
                IPV4: RejectWith(RejectKind.UNREACHABLE, four),
                IPV6: RejectWith(RejectKind.UNREACHABLE, six),
            }
        else:
            family = IPV4 if self.reply == "icmp" else IPV6
            replies = {family: RejectWith(RejectKind.UNREACHABLE, self.code)}

        def run(packet: Packet) -> int:
            reply = replies.get(packet.family)
            if reply is None:
                return BREAK
            reject(packet, reply)
            packet.drop = Drop.REJECT
            return DROPPED

        return Do(run)


def parse(parser: Parser) -> Reject:
    """Read ``reject [with REPLY [CODE]]``."""
    start = parser.advance().span
    if not parser.accept_word("with"):
        return Reject(parser.since(start), "", None, start)
    reply_span = parser.token.span
    if parser.accept_word("tcp"):
        parser.expect_word("reset")
        return Reject(parser.since(start), "tcp reset", None, parser.since(reply_span))
    if not parser.at_word("icmp", "icmpv6", "icmpx"):
        raise parser.unexpected("icmp", "icmpv6", "tcp", "icmpx")
    reply = parser.advance().text
    typed = parser.accept_word("type") is not None
    token = parser.token
    if token.kind not in (Kind.STRING, Kind.NUMBER):
        raise parser.unexpected("number", "string", *(() if typed else ("type",)))
    parser.advance()
    return Reject(parser.since(start), reply, Word(token.text, token.span, token.kind), reply_span)
