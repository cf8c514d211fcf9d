"""Logging.

Ref: net/netfilter/nft_log.c:nft_log_eval.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.code import GO_ON, Do
from flowtable.ruleset.environment import LogEntry
from flowtable.ruleset.statement import Statement
from flowtable.ruleset.syntax import Word

if TYPE_CHECKING:
    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.parser import Parser
    from flowtable.ruleset.source import Span

_LEVELS: Final = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit")
_WARN: Final = 4
_AUDIT: Final = 8
_PREFIX_SIZE: Final = 128
"""NF_LOG_PREFIXLEN, the terminating zero included."""
_VARIABLE: Final = re.compile(r"\$([A-Za-z_.][A-Za-z0-9/\-_.]*)")
_FLAGS: Final = ("tcp sequence", "tcp options", "ip options", "skuid", "ether")


class Log(Statement):
    """``log`` with its options.

    Attributes:
        entry: what is logged.
        options: the options that are written.
    """

    __slots__ = ("entry", "options")

    def __init__(self, span: Span, entry: LogEntry, options: frozenset[str]) -> None:
        super().__init__(span)
        self.entry = entry
        self.options = options

    def check(self, rule: RuleContext) -> Log:
        """Options that exclude each other."""
        if self.entry.level == _AUDIT and self.options - {"level"}:
            raise rule.error("log level audit doesn't support any further options", self._keyword)
        if "group" in self.options and self.options & {"level", "flags"}:
            other = "level" if "level" in self.options else "flags"
            raise rule.error(f"{other} and group are mutually exclusive", self._keyword)
        if len(self.entry.prefix.encode(errors="surrogatepass")) >= _PREFIX_SIZE:
            raise rule.error("Could not process rule: Numerical result out of range", self._keyword)
        return self

    @property
    def _keyword(self) -> Span:
        return self.span._replace(last=self.span.first + 2)

    def text(self, *, stateless: bool = False) -> str:
        """The options in nft's order, defaults left out."""
        del stateless
        entry = self.entry
        words = ["log"]
        if "prefix" in self.options:
            words.append(f'prefix "{entry.prefix}"')
        if entry.group is not None:
            words.append(f"group {entry.group}")
            if "snaplen" in self.options:
                words.append(f"snaplen {entry.snaplen}")
            if "queue-threshold" in self.options:
                words.append(f"queue-threshold {entry.queue_threshold}")
        elif entry.level not in (None, _WARN):
            assert entry.level is not None
            words.append(f"level {_LEVELS[entry.level]}")
        if len(entry.flags) == len(_FLAGS):
            words.append("flags all")
        else:
            tcp = [flag.split()[1] for flag in entry.flags if flag.startswith("tcp ")]
            if tcp:
                words.append(f"flags tcp {','.join(tcp)}")
            words.extend(f"flags {flag}" for flag in entry.flags if not flag.startswith("tcp "))
        return " ".join(words)

    def json(self) -> Json:
        """The options that are not the default."""
        entry = self.entry
        shown: dict[str, Json] = {}
        if "prefix" in self.options:
            shown["prefix"] = entry.prefix
        if entry.group is not None:
            shown["group"] = entry.group
            if "snaplen" in self.options:
                shown["snaplen"] = entry.snaplen
            if "queue-threshold" in self.options:
                shown["queue-threshold"] = entry.queue_threshold
        elif entry.level not in (None, _WARN):
            assert entry.level is not None
            shown["level"] = _LEVELS[entry.level]
        if len(entry.flags) == len(_FLAGS):
            shown["flags"] = "all"
        elif entry.flags:
            shown["flags"] = entry.flags[0] if len(entry.flags) == 1 else list(entry.flags)
        return {"log": shown or None}

    def compile(self, compiler: Compiler) -> Step:
        """Hand the packet to the box's log and go on."""
        log, entry = compiler.environment.log, self.entry

        def run(packet: Packet) -> int:
            log(packet, entry)
            return GO_ON

        return Do(run)


def parse(parser: Parser) -> Log:
    """Read ``log`` and its options, in any order."""
    start = parser.advance().span
    prefix, level, group, snaplen, threshold = "", _WARN, None, 0, 0
    flags: set[str] = set()
    options: set[str] = set()
    while option := parser.accept_word("prefix", "level", "group", "snaplen", "queue-threshold", "flags"):
        options.add(option)
        match option:
            case "prefix":
                prefix = _parse_prefix(parser)
            case "level":
                name = parser.text()
                if name.text not in _LEVELS:
                    raise parser.error("invalid log level", name.span)
                level = _LEVELS.index(name.text)
            case "group":
                group = parser.number("number") & 0xFFFF
            case "snaplen":
                snaplen = parser.number("number")
            case "queue-threshold":
                threshold = parser.number("number") & 0xFFFF
            case _:
                flags |= _parse_flags(parser)
    entry = LogEntry(
        prefix=prefix,
        level=None if group is not None else level,
        flags=tuple(flag for flag in _FLAGS if flag in flags),
        group=group,
        snaplen=snaplen if group is not None else 0,
        queue_threshold=threshold if group is not None else 0,
    )
    return Log(parser.since(start), entry, frozenset(options))


def _parse_prefix(parser: Parser) -> str:
    """Read a prefix, and put the values of variables in it in their place."""
    token = parser.text()
    parts = _VARIABLE.split(token.text)
    for index in range(1, len(parts), 2):
        value = parser.scope.find(parts[index])
        if value is None:
            raise parser.error(f"unknown identifier '{parts[index]}'", token.span)
        if not isinstance(value, Word):
            raise parser.error(f"variable '{parts[index]}' is no text", token.span)
        parts[index] = value.text
    return "".join(parts)


def _parse_flags(parser: Parser) -> set[str]:
    if parser.accept_word("all"):
        return set(_FLAGS)
    if parser.accept_word("tcp"):
        flags = set()
        while True:
            if not parser.at_word("sequence", "options"):
                raise parser.unexpected("seq", "options")
            flags.add(f"tcp {parser.advance().text}")
            if parser.token.kind.value != "comma":
                return flags
            parser.advance()
    if parser.accept_word("ip"):
        parser.expect_word("options")
        return {"ip options"}
    if parser.at_word("skuid", "ether"):
        return {parser.advance().text}
    raise parser.unexpected()
