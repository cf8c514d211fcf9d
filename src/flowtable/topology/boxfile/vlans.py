"""``vlans`` of a bridge or its ports: what ``bridge vlan show`` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.document import Scalar
from flowtable.topology.boxfile.reader import Field, UnreadableError
from flowtable.topology.bridge import VlanTable

_KEYS: Final = ("id", "pvid", "untagged")
_LAST: Final = 4094
_RANGE: Final = re.compile(r"([0-9]{1,4})-([0-9]{1,4})")


def read(field: Field) -> VlanTable:
    """The VLANs of a port, or of the bridge itself."""
    table = VlanTable()
    for item in field.items():
        try:
            _read(item, table)
        except UnreadableError:
            continue
    return table


def _read(item: Field, table: VlanTable) -> None:
    if isinstance(item.node, Scalar):
        ids, pvid, untagged, place = read_ids(item), False, False, item
    else:
        section = item.section(_KEYS)
        given = section.need("id", read_ids)
        pvid = section.get("pvid", Field.boolean, False)
        untagged = section.get("untagged", Field.boolean, False)
        if given is None or not section.sound:
            raise UnreadableError
        ids, place = given, section.at("id")
        if pvid and len(ids) > 1:
            raise section.at("pvid").fail("pvid cannot be configured for a vlan range")
        if pvid and table.pvid:
            raise section.at("pvid").fail(f"VLAN {table.pvid} is the PVID already")
    for vid in ids:
        if vid in table.members:
            raise place.fail(f"VLAN {vid} is there already")
        table.add(vid, pvid=pvid, untagged=untagged)


def read_ids(field: Field) -> range:
    """One VLAN id, or those between the first and the last of a range."""
    node = field.node
    if isinstance(node, Scalar) and (match := _RANGE.fullmatch(node.text)):
        first, last = int(match[1]), int(match[2])
        if 1 <= first <= last <= _LAST:
            return range(first, last + 1)
        raise field.fail(f"expected a range within 1-{_LAST}, got {node}")
    vid = field.integer(1, _LAST)
    return range(vid, vid + 1)


def write(table: VlanTable) -> str:
    """The list, with VLANs in a row that are alike as one member."""
    return "[" + ", ".join(_member(vids, table) for vids in _rows(table)) + "]"


def _member(vids: list[int], table: VlanTable) -> str:
    vid = vids[0]
    return text.inline(
        {
            "id": str(vid) if len(vids) == 1 else f'"{vid}-{vids[-1]}"',
            "pvid": "true" if vid == table.pvid else None,
            "untagged": "true" if table.members[vid] else None,
        }
    )


def _rows(table: VlanTable) -> Iterator[list[int]]:
    row: list[int] = []
    for vid in sorted(table.members):
        alike = row and vid == row[-1] + 1 and table.members[vid] is table.members[row[-1]]
        if row and not (alike and table.pvid not in (vid, row[-1])):
            yield row
            row = []
        row.append(vid)
    if row:
        yield row
