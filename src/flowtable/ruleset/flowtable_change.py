"""Changes of flowtables.

Ref: net/netfilter/nf_tables_api.c:nf_tables_newflowtable, nf_tables_delflowtable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.family import Family
from flowtable.ruleset.refused import E2BIG, EEXIST, ENOENT, EOPNOTSUPP, refused
from flowtable.ruleset.source import Diagnostic, RulesetError

if TYPE_CHECKING:
    from flowtable.ruleset.change import AddFlowtable
    from flowtable.ruleset.command import DeleteDevices
    from flowtable.ruleset.model import Flowtable, Table

MAX_DEVICES: Final = 256
"""Ref: include/net/netfilter/nf_tables.h:NFT_NETDEVICE_MAX."""


def add_flowtable(table: Table, change: AddFlowtable) -> None:
    """Add a flowtable, or devices to one that is there.

    Raises:
        RulesetError: the kernel would refuse it.
    """
    flowtable = change.flowtable
    if table.family not in (Family.IP, Family.IP6, Family.INET):
        raise refused(ENOENT, flowtable.span, "flowtables are for ip, ip6 and inet tables")
    known = table.flowtables.get(flowtable.name)
    if known is None and not change.hooked:
        raise RulesetError([Diagnostic("missing hook and priority in flowtable declaration", flowtable.span)])
    if known is not None:
        if change.create:
            raise refused(EEXIST, flowtable.span)
        if change.hooked and known.priority != flowtable.priority:
            raise refused(EOPNOTSUPP, flowtable.span, "its priority cannot be changed")
        if change.hooked and known.offload != flowtable.offload:
            raise refused(EOPNOTSUPP, flowtable.span, "'flags offload' cannot be changed")
    devices = _add_devices(table, known, flowtable)
    if known is None:
        table.flowtables[flowtable.name] = replace(flowtable, devices=devices, handle=table.new_handle())
    else:
        known.devices = devices
        if change.hooked:
            known.counter = flowtable.counter


def delete_flowtable_devices(table: Table, change: DeleteDevices) -> None:
    """Take devices out of a flowtable.

    Raises:
        RulesetError: it is not on them.
    """
    flowtable = table.flowtables.get(change.name)
    missing = set(change.devices).difference(() if flowtable is None else flowtable.devices)
    if flowtable is None or (missing and not change.destroy):
        if change.destroy:
            return
        hint = f"it is not on {', '.join(sorted(missing))}" if flowtable is not None else None
        raise refused(ENOENT, change.span, hint)
    flowtable.devices = tuple(name for name in flowtable.devices if name not in change.devices)


def _add_devices(table: Table, known: Flowtable | None, flowtable: Flowtable) -> tuple[str, ...]:
    if len(set(flowtable.devices)) != len(flowtable.devices):
        raise refused(EEXIST, flowtable.span, "a device is listed twice")
    for other in table.flowtables.values():
        shared = set(other.devices) & set(flowtable.devices)
        if other is not known and shared:
            raise refused(
                EEXIST,
                flowtable.span,
                f"device '{min(shared)}' is in flowtable '{other.name}' of this table",
            )
    devices = set(flowtable.devices) | set(known.devices if known else ())
    if len(devices) > MAX_DEVICES:
        raise refused(E2BIG, flowtable.span, f"a flowtable takes at most {MAX_DEVICES} devices")
    return tuple(sorted(devices))
