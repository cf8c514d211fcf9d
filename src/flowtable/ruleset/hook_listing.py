"""What ``list hooks`` prints: what the ruleset registers, hook by hook, in the order in which it runs.

The kernel's own list has beside that what the kernel itself registers, connection tracking for example.
Ref: nftables src/mnl.c:print_hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.ruleset.model import Chain, Ruleset, Table
    from flowtable.ruleset.query import ListHooks

_FAMILIES: Final = (Family.IP, Family.IP6, Family.BRIDGE, Family.ARP, Family.NETDEV)
_AT_DEVICES: Final = (Hook.INGRESS, Hook.EGRESS)


class _Entry(NamedTuple):
    """Something that is registered: sorts as nft lists it."""

    hook: Hook
    device: str
    priority: int
    late: int
    """The later it was registered, the lower: of equal priority the last one runs first."""
    text: str


def list_hooks(ruleset: Ruleset, query: ListHooks) -> str:
    """The hooks of a family, or of all.

    Args:
        ruleset: what is loaded.
        query: which family and device are meant.
    """
    families: tuple[Family, ...] = _FAMILIES
    if query.family is not None:
        families = (Family.IP, Family.IP6) if query.family is Family.INET else (query.family,)
    written = []
    for family in families:
        entries = [each for each in _entries(ruleset, family) if query.device in (None, each.device)]
        if entries:
            written.append(f"family {family.value} {{\n{_blocks(sorted(entries))}}}\n")
    return "".join(written)


def _blocks(entries: list[_Entry]) -> str:
    lines: list[str] = []
    place: tuple[Hook, str] | None = None
    for each in entries:
        if (each.hook, each.device) != place:
            lines += [] if place is None else ["\t}\n"]
            place = each.hook, each.device
            device = f" device {each.device}" if each.device else ""
            lines.append(f"\thook {each.hook.name.lower()}{device} {{\n")
        sign = "-" if each.priority < 0 else "+" if each.priority else " "
        lines.append(f"\t\t{sign}{abs(each.priority):010} {each.text}\n")
    return "".join((*lines, "\t}\n"))


def _entries(ruleset: Ruleset, family: Family) -> Iterator[_Entry]:
    for table in ruleset.tables.values():
        if table.dormant:
            continue
        for chain in table.chains.values():
            yield from _of_chain(table, chain, family)
        if family is Family.NETDEV:
            for flowtable in table.flowtables.values():
                module = "nf_flow_table_inet" if table.family is Family.INET else "nf_flow_table"
                text = f"flowtable {table.family.value} {table.name} {flowtable.name} [{module}]"
                for device in flowtable.devices:
                    yield _Entry(Hook.INGRESS, device, flowtable.priority, -flowtable.handle, text)


def _of_chain(table: Table, chain: Chain, family: Family) -> Iterator[_Entry]:
    attachment = chain.attachment
    if attachment is None or family not in _seen_by(table.family, attachment.hook):
        return
    text = f"chain {table.family.value} {table.name} {chain.name} [nf_tables]"
    for device in attachment.devices or ("",):
        yield _Entry(attachment.hook, device, attachment.priority, -chain.handle, text)


def _seen_by(family: Family, hook: Hook) -> tuple[Family, ...]:
    """The families whose packets meet a chain."""
    if hook in _AT_DEVICES:
        return (Family.NETDEV,)
    return (Family.IP, Family.IP6) if family is Family.INET else (family,)
