"""What statements and selectors need to be compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flowtable.ruleset.family import Family
from flowtable.ruleset.selector import Identity, Layer
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.store import Store
from flowtable.ruleset.types import IFACE_INDEX
from flowtable.ruleset.types.concatenation import Concatenation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flowtable.ruleset.code import Op
    from flowtable.ruleset.environment import Environment
    from flowtable.ruleset.model import Rule, Table
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import DataType, Scalar, Value


class Compiler:
    """One table being compiled.

    Attributes:
        environment: the box that the rules will run in.
        table: the table.
        assured: headers that earlier tests of the rule made sure the packet has.
        tracking: whether a rule needs connections to be tracked, so that the box tracks them.
    """

    __slots__ = ("_block", "_chain", "_stores", "_updated", "assured", "environment", "table", "tracking")

    def __init__(
        self,
        environment: Environment,
        table: Table,
        chain: Callable[[str], Op],
        block: Callable[[Sequence[Rule]], Op],
    ) -> None:
        self.environment = environment
        self.table = table
        self._chain = chain
        self._block = block
        self.assured: set[Identity] = set()
        self.tracking = False
        self._stores: dict[str, Store] = {}
        self._updated = {
            name
            for chain in table.chains.values()
            for rule in chain.rules
            for statement in rule.every_statement()
            for name in statement.updates()
        }

    def track(self) -> None:
        """A rule needs connections. Ref: net/netfilter/nf_conntrack_proto.c:nf_ct_netns_get."""
        self.tracking = True

    def start_rule(self) -> set[Identity]:
        """What is known of the headers of a packet that a rule gets: its family's."""
        if self.family in (Family.IP, Family.IP6):
            return {Identity(Layer.NETWORK, self.family.value)}
        return set()

    @property
    def family(self) -> Family:
        """The family of the table."""
        return self.table.family

    @property
    def sets(self) -> Mapping[str, Set]:
        """The sets and maps of the table."""
        return self.table.sets

    def chain(self, name: str) -> Op:
        """The compiled chain of that name."""
        return self._chain(name)

    def lives(self, name: str) -> bool:
        """Whether packets or time change that named set or map."""
        return name in self._updated or self.sets[name].lives

    def store(self, name: str) -> Store:
        """The named set or map; the same for all rules, which see one another's changes."""
        store = self._stores.get(name)
        if store is None:
            store = self._stores[name] = Store(self.sets[name], self)
        return store

    def block(self, rules: Sequence[Rule]) -> Op:
        """The rules of a chain without a name, compiled."""
        return self._block(rules)

    def value(self, value: Value, datatype: DataType, span: Span) -> Value:
        """The value as it is read from a packet.

        Raises:
            RulesetError: it names a device that does not exist.
        """
        if datatype is IFACE_INDEX and isinstance(value, str):
            index = self.environment.interface_index(value)
            if index is None:
                raise RulesetError([Diagnostic("Interface does not exist", span)])
            return index
        if isinstance(datatype, Concatenation):
            assert isinstance(value, tuple)
            pairs = zip(value, datatype.parts, strict=True)
            return tuple(cast("Scalar", self.value(one, part, span)) for one, part in pairs)
        return datatype.key(value)
