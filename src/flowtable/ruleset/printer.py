"""A ruleset as ``nft list ruleset`` prints it.

Ref: nftables src/rule.c:do_list_table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flowtable.ruleset.element import ascending
from flowtable.ruleset.expressions.collection import format_element
from flowtable.ruleset.expressions.mapping import format_data
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.implied import rule_text
from flowtable.ruleset.keywords import is_name
from flowtable.ruleset.priority import text as priority_text
from flowtable.ruleset.statements.vmap import format_verdict
from flowtable.ruleset.style import NftVersion, style
from flowtable.ruleset.table_flag import flag_words
from flowtable.ruleset.types import TIME

if TYPE_CHECKING:
    from flowtable.ruleset.element import Element
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.model import Chain, Flowtable, Rule, Ruleset, Table
    from flowtable.ruleset.objects import NamedObject
    from flowtable.ruleset.sets import Set
    from flowtable.ruleset.types.base import DataType
    from flowtable.ruleset.values import Key


def print_ruleset(
    ruleset: Ruleset,
    *,
    stateless: bool = False,
    handles: bool = False,
    terse: bool = False,
    now: int | None = None,
) -> str:
    """Print all tables.

    Args:
        ruleset: what to print.
        stateless: without counts, as ``nft -s``.
        handles: with handles, as ``nft -a``.
        terse: without elements of sets, as ``nft -t``.
        now: the time of the listing, nanoseconds: elements that ended are left out, others have the
            time that they have left; None before the rules run.
    """
    printer = _Printer(stateless=stateless, handles=handles, terse=terse, now=now)
    return "".join(printer.table(table) for table in ruleset.tables.values())


def print_rule(rule: Rule, family: Family, *, stateless: bool = False) -> str:
    """Print one rule of a table of that family."""
    return _Printer(stateless=stateless).rule(rule, family)


def print_flowtable(flowtable: Flowtable, *, handles: bool = False) -> str:
    """Print the block of one flowtable, as it stands in its table."""
    return _Printer(stateless=False, handles=handles).flowtable(flowtable)


class _Printer:
    __slots__ = ("_handles", "_now", "_stateless", "_terse")

    def __init__(
        self, *, stateless: bool, handles: bool = False, terse: bool = False, now: int | None = None
    ) -> None:
        self._stateless = stateless
        self._handles = handles
        self._terse = terse
        self._now = now

    def _handle(self, number: int) -> str:
        return f" # handle {number}" if self._handles and number else ""

    def table(self, table: Table) -> str:
        head = f"table {table.family.value} {table.name} {{{self._handle(table.handle)}\n"
        head += f"\tflags {','.join(flag_words(table.flags))}\n" if table.flags else ""
        if table.comment is not None:
            head += f'\tcomment "{table.comment}"\n'
        parts: list[str] = []
        parts.extend(self._object(each) for each in table.objects.values())
        parts.extend(self._set(declared) for declared in table.sets.values())
        parts.extend(self.flowtable(flowtable) for flowtable in table.flowtables.values())
        parts.extend(self._chain(chain, table.family) for chain in table.chains.values())
        if table.flags and parts:
            head += "\n"  # as nft 1.0.6, not behind a comment alone
        return head + "\n".join(parts) + "}\n"

    def _object(self, declared: NamedObject) -> str:
        lines = [f"\t{declared.kind.value} {declared.name} {{{self._handle(declared.handle)}"]
        if declared.comment is not None:
            lines.append(f'\t\tcomment "{declared.comment}"')
        lines.extend(f"\t\t{line}" for line in declared.body.lines(stateless=self._stateless))
        lines.append("\t}\n")
        return "\n".join(lines)

    def _set(self, declared: Set) -> str:
        lines = [f"\t{declared.word} {declared.name} {{{self._handle(declared.handle)}"]
        lines.append(f"\t\t{_set_type(declared)}")
        if declared.policy == "memory":
            lines.append("\t\tpolicy memory")
        if declared.size is not None:
            lines.append(f"\t\tsize {declared.size}")
        flags = _flags(declared)
        if flags:
            lines.append(f"\t\tflags {','.join(flags)}")
        if declared.statements:
            statements = " ".join(statement.text(stateless=True) for statement in declared.statements)
            lines.append(f"\t\t{statements}")
        if declared.auto_merge:
            lines.append("\t\tauto-merge")
        if declared.timeout is not None:
            lines.append(f"\t\ttimeout {TIME.format(declared.timeout)}")
        if declared.gc_interval is not None:
            lines.append(f"\t\tgc-interval {TIME.format(declared.gc_interval)}")
        if declared.comment is not None:
            lines.append(f'\t\tcomment "{declared.comment}"')
        elements = [] if self._terse else self._elements(declared)
        if elements:
            lines.append(f"\t\telements = {{ {_lines_of(elements, declared.datatype)} }}")
        lines.append("\t}\n")
        return "\n".join(lines)

    def _elements(self, declared: Set) -> list[str]:
        """The elements that are there at the time of the listing."""
        now = self._now
        found = [each for each in declared.elements.values() if now is None or not each.expired(now)]
        texts = []
        for element in ascending(found, declared.datatype):
            text = format_element(element, declared.datatype, stateless=self._stateless, now=now)
            texts.append(f"{text} : {_data(element, declared)}" if declared.is_map else text)
        return texts

    def flowtable(self, flowtable: Flowtable) -> str:
        priority = priority_text(flowtable.priority, flowtable.family, Hook.INGRESS)
        lines = [
            f"\tflowtable {flowtable.name} {{{self._handle(flowtable.handle)}",
            f"\t\thook ingress priority {priority}",
        ]
        if flowtable.devices:
            devices = ", ".join(_device(name) for name in flowtable.devices)
            lines.append(f"\t\tdevices = {{ {devices} }}")
        if flowtable.offload:
            lines.append("\t\tflags offload")
        if flowtable.counter:
            lines.append("\t\tcounter")
        lines.append("\t}\n")
        return "\n".join(lines)

    def _chain(self, chain: Chain, family: Family) -> str:
        lines = [f"\tchain {chain.name} {{{self._handle(chain.handle)}"]
        if chain.comment is not None:
            lines.append(f'\t\tcomment "{chain.comment}"')
        if chain.offload:
            lines.append("\t\tflags offload")
        attachment = chain.attachment
        if attachment is not None:
            devices = ""
            if len(attachment.devices) == 1:
                devices = f' device "{attachment.devices[0]}"'
            elif attachment.devices:
                devices = f" devices = {{ {', '.join(map(_device, attachment.devices))} }}"
            priority = priority_text(attachment.priority, family, attachment.hook)
            lines.append(
                f"\t\ttype {attachment.type.value} hook {attachment.hook.name.lower()}{devices} "
                f"priority {priority}; policy {chain.policy.name.lower()};"
            )
        lines.extend(f"\t\t{self.rule(rule, family)}{self._handle(rule.handle)}" for rule in chain.rules)
        lines.append("\t}\n")
        return "\n".join(lines)

    def rule(self, rule: Rule, family: Family) -> str:
        return rule_text(rule, family, self._now, stateless=self._stateless)


def _device(name: str) -> str:
    """A device in a list: quoted only where it could not be read back otherwise."""
    plain = is_name(name) and style().version is NftVersion.V1_0_6
    return name if plain else f'"{name}"'


def _set_type(declared: Set) -> str:
    if declared.typeof:
        data = f" : {declared.data_typeof}" if declared.is_map else ""
        return f"typeof {declared.typeof}{data}"
    if not declared.is_map:
        return f"type {declared.datatype.name}"
    if declared.objects is not None:
        return f"type {declared.datatype.name} : {declared.objects.value}"
    return f"type {declared.datatype.name} : {declared.data.name if declared.data else 'verdict'}"


def _flags(declared: Set) -> list[str]:
    """The flags that are shown; a timeout of the set says that elements have one."""
    flags = {
        "constant": declared.constant,
        "dynamic": declared.dynamic,
        "interval": declared.interval,
    }
    shown = [name for name, given in flags.items() if given]
    if declared.timeouts and (shown or declared.timeout is None):
        shown.append("timeout")
    return shown


def _lines_of(elements: list[str], datatype: DataType) -> str:
    """The elements, as many on a line as nft puts there."""
    per_line = datatype.per_line
    last = len(elements) - 1
    parts = []
    for index, text in enumerate(elements):
        parts.append(text)
        if index < last:
            parts.append(", " if (index + 1) % per_line else ",\n\t\t\t     ")
    return "".join(parts)


def _data(element: Element, declared: Set) -> str:
    """What an element of a map stands for."""
    if declared.objects is not None:
        return f'"{element.data}"'
    if declared.data is None:
        return format_verdict(element.data)
    return format_data(cast("Key", element.data), declared.data)
