"""What of the rules in the kernel concerns flows: flowtables, and chains that flows must not pass by."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowtable.live.load import nft_at_once
from flowtable.live.record import read_set
from flowtable.ruleset.model import Ruleset, Table

if TYPE_CHECKING:
    from flowtable.live.record import Kept


@dataclass(frozen=True, slots=True)
class Declared:
    """The flowtables in the kernel.

    Attributes:
        ruleset: their tables with them.
        flowtables: each with what marks its connections.
        listing: all rules, as nft lists them without counters.
        ingress: devices with rules at their ingress.
        egress: devices with rules at their egress.
    """

    ruleset: Ruleset
    flowtables: tuple[Kept, ...]
    listing: str = ""
    ingress: frozenset[str] = frozenset()
    egress: frozenset[str] = frozenset()


NOTHING: Final = Declared(Ruleset(), ())
_ATTACHED: Final = re.compile(r"type \S+ hook (ingress|egress) devices? (?:= \{ )?([^}]*?)(?: \})? priority ")


def declared(before: Declared = NOTHING) -> Declared:
    """Ask the kernel.

    Args:
        before: what was there before: what has the same name is the same, also if it was loaded anew.

    Raises:
        LoadError: nft cannot list the rules.
    """
    sets, listing = nft_at_once(("-j", "list", "sets"), ("-s", "list", "ruleset"))
    document = json.loads(sets)
    found = (read_set(each["set"]) for each in document["nftables"] if "set" in each)
    kept = tuple(each for each in found if each is not None)
    ruleset = Ruleset(last_handle=before.ruleset.last_handle)
    for each in kept:
        flowtable = each.flowtable
        key = (flowtable.family, flowtable.table)
        old = before.ruleset.tables.get(key)
        table = ruleset.tables.get(key)
        if table is None:
            handle = ruleset.new_handle() if old is None else old.handle
            table = ruleset.tables[key] = Table(*key, flowtable.span, handle=handle)
            table.last_handle = 0 if old is None else old.last_handle
        known = None if old is None else old.flowtables.get(flowtable.name)
        flowtable.handle = table.new_handle() if known is None else known.handle
        table.flowtables[flowtable.name] = flowtable
    attached = attachments(listing)
    return Declared(ruleset, kept, listing, attached["ingress"], attached["egress"])


def attachments(listing: str) -> dict[str, frozenset[str]]:
    """The devices of ingress and of egress chains.

    Args:
        listing: what ``nft list ruleset`` prints; its JSON does not have them.
    """
    found: dict[str, set[str]] = {"ingress": set(), "egress": set()}
    for hook, devices in _ATTACHED.findall(listing):
        found[hook] |= {device.strip(' "') for device in devices.split(",")}
    return {hook: frozenset(devices) for hook, devices in found.items()}
