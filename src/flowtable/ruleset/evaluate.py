"""A ruleset made ready to run on packets.

Ref: net/netfilter/nf_tables_core.c:nft_do_chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, IPV6
from flowtable.ruleset.code import (
    ACCEPTED,
    BREAK,
    DROPPED,
    OF_VERDICT,
    RETURNED,
    Compiled,
    Do,
    fuse_chain,
    fuse_rule,
)
from flowtable.ruleset.compiler import Compiler
from flowtable.ruleset.expressions.meta import Meta
from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.statements.match import Match
from flowtable.ruleset.statements.vmap import VerdictMap
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.code import Op, Step
    from flowtable.ruleset.environment import Environment
    from flowtable.ruleset.model import Chain, ChainType, Rule, Ruleset, Table
    from flowtable.ruleset.selector import Identity
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.statement import Statement

ARP: Final = 3
"""NFPROTO_ARP."""
BRIDGE: Final = 7
"""NFPROTO_BRIDGE."""
_DROP: Final = int(Verdict.DROP)
_VERDICTS: Final = {code: int(verdict) for verdict, code in OF_VERDICT.items()}


class BaseChain:
    """A base chain, called with each packet at its hook.

    The caller sets ``packet.hook`` first. The result is a ``Verdict``; where it is ``DROP``,
    ``packet.drop`` says why.

    Attributes:
        family: family of its table.
        table: name of its table.
        name: name of the chain.
        type: what the chain is for; a ``nat`` chain sees only the first packet of a connection.
        hook: where it is attached.
        priority: its place in the order of the hook.
        devices: the devices of an ingress or egress chain, empty elsewhere.
    """

    __slots__ = ("_policy", "_rules", "devices", "family", "hook", "name", "priority", "table", "type")

    def __init__(
        self,
        rules: tuple[Compiled, ...],
        *,
        family: Family,
        table: str,
        name: str,
        chain_type: ChainType,
        hook: Hook,
        priority: int,
        policy: Verdict,
        devices: tuple[str, ...] = (),
    ) -> None:
        self._rules = rules
        self._policy = int(policy)
        self.family = family
        self.table = table
        self.name = name
        self.type = chain_type
        self.hook = hook
        self.priority = priority
        self.devices = devices

    def __call__(self, packet: Packet) -> int:
        """Walk the chain; ``Verdict.ACCEPT`` goes on to the next chain of the hook."""
        for test, act in self._rules:
            if test is None or test(packet):
                code = act(packet)
                if code > BREAK:
                    if code == RETURNED:
                        break
                    return _VERDICTS[code]
        if self._policy == _DROP:
            packet.drop = Drop.POLICY
        return self._policy


class Program:
    """The base chains of a ruleset by family and hook."""

    __slots__ = ("_chains", "_device_chains", "_tracking")

    def __init__(self, chains: list[BaseChain], tracking: frozenset[int] = frozenset()) -> None:
        """Sort the chains.

        Args:
            chains: all base chains in the order of their declaration.
            tracking: ``IPV4``, ``IPV6``: families whose rules need connections to be tracked.
        """
        self._tracking = tracking
        self._chains: dict[tuple[int, int], list[BaseChain]] = {
            (family, hook): [] for family in (IPV4, IPV6, ARP, BRIDGE) for hook in Hook
        }
        self._device_chains: dict[tuple[str, int], list[BaseChain]] = {}
        # Of equal priority the latest registered runs first: nf_hook_entries_grow.
        ordered = list(reversed(chains))
        ordered.sort(key=lambda chain: chain.priority)
        for chain in ordered:
            if chain.devices:
                for device in chain.devices:
                    self._device_chains.setdefault((device, chain.hook), []).append(chain)
            else:
                for family in _SEEN_BY[chain.family.value]:
                    self._chains[family, chain.hook].append(chain)

    def uses_conntrack(self, family: int) -> bool:
        """Whether a rule needs the connections of ``family`` (``IPV4`` or ``IPV6``) to be tracked."""
        return family in self._tracking

    def chains(self, family: int, hook: Hook) -> list[BaseChain]:
        """Chains that packets of ``family``, an NFPROTO, meet at ``hook``, in order.

        The list is always the same object: it may be kept.
        """
        return self._chains[family, hook]

    def device_chains(self, device: str, hook: Hook) -> list[BaseChain]:
        """Ingress or egress chains of a device, in order."""
        return self._device_chains.get((device, hook), [])


_SEEN_BY: Final[dict[str, tuple[int, ...]]] = {
    "ip": (IPV4,),
    "ip6": (IPV6,),
    "inet": (IPV4, IPV6),
    "arp": (ARP,),
    "bridge": (BRIDGE,),
    "netdev": (),
}


def compile_ruleset(ruleset: Ruleset, environment: Environment) -> Program:
    """Make a ruleset ready to run in a box.

    Raises:
        RulesetError: it names devices that the box does not have.
    """
    chains: list[BaseChain] = []
    tracking: set[int] = set()
    errors: list[Diagnostic] = []
    for table in ruleset.tables.values():
        errors.extend(_missing_devices(table, environment))
        compiled = _Tables(table, environment, errors)
        if not table.dormant:
            chains.extend(compiled.base_chains())
        if compiled.tracking:
            tracking.update(_SEEN_BY[table.family.value])
    if errors:
        raise RulesetError(errors)
    return Program(chains, frozenset(tracking))


def _missing_devices(table: Table, environment: Environment) -> list[Diagnostic]:
    """The errors for flowtables and chains on devices that do not exist."""
    places: list[tuple[str, tuple[str, ...], Span]] = [
        (f"flowtable '{flowtable.name}'", flowtable.devices, flowtable.span)
        for flowtable in table.flowtables.values()
    ]
    places.extend(
        (f"chain '{chain.name}'", chain.attachment.devices, chain.span)
        for chain in table.chains.values()
        if chain.attachment is not None
    )
    errors = []
    for what, devices, span in places:
        missing = [name for name in devices if environment.interface_index(name) is None]
        if missing:
            hint = f"{what} is on {', '.join(missing)}, which does not exist"
            errors.append(Diagnostic("Could not process rule: No such file or directory", span, hint=hint))
    return errors


_NOT_IP: Final = Compiled(lambda packet: packet.family not in (IPV4, IPV6), lambda packet: ACCEPTED)
"""Chains of inet tables see IPv4 and IPv6 only. Ref: net/netfilter/nft_chain_filter.c."""


class _Tables:
    """The chains of one table on their way to closures; each is compiled once."""

    __slots__ = ("_compiled", "_compiler", "_errors", "_table")

    def __init__(self, table: Table, environment: Environment, errors: list[Diagnostic]) -> None:
        self._table = table
        self._errors = errors
        self._compiled: dict[str, tuple[Compiled, ...]] = {}
        self._compiler = Compiler(environment, table, self._chain, self._block)
        for name in table.chains:
            self._rules(name)

    @property
    def tracking(self) -> bool:
        """Whether a rule of the table needs connections, in whatever chain it is."""
        return self._compiler.tracking

    def base_chains(self) -> list[BaseChain]:
        """The base chains in the order of their declaration."""
        return [
            self._base_chain(chain) for chain in self._table.chains.values() if chain.attachment is not None
        ]

    def _base_chain(self, chain: Chain) -> BaseChain:
        attachment = chain.attachment
        assert attachment is not None
        rules = self._rules(chain.name)
        if self._table.family is Family.INET and attachment.hook is Hook.INGRESS:
            rules = (_NOT_IP, *rules)
        return BaseChain(
            rules,
            family=self._table.family,
            table=self._table.name,
            name=chain.name,
            chain_type=attachment.type,
            hook=attachment.hook,
            priority=attachment.priority,
            policy=chain.policy,
            devices=attachment.devices,
        )

    def _chain(self, name: str) -> Op:
        return fuse_chain(self._rules(name))

    def _rules(self, name: str) -> tuple[Compiled, ...]:
        rules = self._compiled.get(name)
        if rules is None:
            rules = self._compiled[name] = self._compile(self._table.chains[name].rules)
        return rules

    def _block(self, rules: Sequence[Rule]) -> Op:
        return fuse_chain(self._compile(rules))

    def _compile(self, rules: Sequence[Rule]) -> tuple[Compiled, ...]:
        compiled = [self._rule(rule) for rule in rules]
        return tuple(rule for rule in compiled if rule is not None)

    def _rule(self, rule: Rule) -> Compiled | None:
        try:
            return fuse_rule(self._steps(rule.statements))
        except RulesetError as error:
            self._errors.extend(error.diagnostics)
            return None

    def _steps(self, statements: Sequence[Statement]) -> list[Step]:
        steps: list[Step] = []
        compiler = self._compiler
        assured = compiler.start_rule()
        for index, statement in enumerate(statements):
            following = statements[index + 1] if index + 1 < len(statements) else None
            if _is_implied(statement, following, assured):
                continue
            # Compiling a jump compiles another chain, with rules of its own.
            compiler.assured = assured
            steps.append(_opaque(statement, compiler) if statement.opaque else statement.compile(compiler))
            if isinstance(statement, Match | VerdictMap):
                assured = assured.union(statement.headers)
        return steps


def _opaque(statement: Statement, compiler: Compiler) -> Step:
    """What becomes of a packet that reaches what only a kernel can run."""
    opaque = compiler.environment.opaque
    place = f"{statement.span.source.name}:{statement.span.line}"

    def run(packet: Packet) -> int:
        if opaque(packet, place):
            return BREAK
        packet.drop = Drop.OPAQUE
        return DROPPED

    return Do(run)


def _is_implied(statement: Statement, following: Statement | None, assured: set[Identity]) -> bool:
    """Whether a protocol test is part of what the next match does to find its header."""
    return (
        isinstance(statement, Match)
        and isinstance(following, Match)
        and isinstance(statement.left, Meta)
        and statement.identity is not None
        and following.left.guards == statement.identity
        and statement.identity not in assured
    )
