"""What statements and selectors need to be compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.family import Family
from flowtable.ruleset.selector import Identity, Layer
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.types import IFACE_INDEX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowtable.ruleset.code import Op
    from flowtable.ruleset.environment import Environment
    from flowtable.ruleset.model import Table
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.source import Span
    from flowtable.ruleset.types.base import DataType, Value


class Compiler:
    """One table being compiled.

    Attributes:
        environment: the box that the rules will run in.
        table: the table.
        tracking: whether a rule needs connections to be tracked, so that the box tracks them.
    """

    __slots__ = ("_assured", "_chain", "environment", "table", "tracking")

    def __init__(self, environment: Environment, table: Table, chain: Callable[[str], Op]) -> None:
        self.environment = environment
        self.table = table
        self._chain = chain
        self._assured: set[Identity] = set()
        self.tracking = False

    def track(self) -> None:
        """A rule needs connections. Ref: net/netfilter/nf_conntrack_proto.c:nf_ct_netns_get."""
        self.tracking = True

    def start_rule(self) -> set[Identity]:
        """Start a rule: nothing is known of the headers of its packets but their family.

        Returns:
            What is known, filled as the rule is compiled; for ``resume``.
        """
        assured = set()
        if self.family in (Family.IP, Family.IP6):
            assured.add(Identity(Layer.NETWORK, self.family.value))
        self._assured = assured
        return assured

    def resume(self, assured: set[Identity]) -> None:
        """Go on with a rule after others may have been compiled."""
        self._assured = assured

    def assured(self, header: Identity) -> bool:
        """Whether an earlier test of the rule made sure that the packet has that header.

        If not, the caller makes sure of it now.
        """
        if header in self._assured:
            return True
        self._assured.add(header)
        return False

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
        return datatype.key(value)
