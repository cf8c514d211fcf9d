"""The fast path as an executable specification.

A frame is dissected to its key, the key finds a path, the path forwards. Everything that can be
known before the packet comes is worked out by ``path``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.datapath.path import Path, make_path
from flowtable.packet.flowkey import VLAN_TCI_MASK, VLAN_VID_MASK, dissector
from flowtable.packet.miss import Miss
from flowtable.ruleset.family import Family

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from flowtable.flows.datapath import OnEnd, Outcome
    from flowtable.flows.entry import FlowEntry
    from flowtable.packet.flowkey import Key
    from flowtable.profile import Profile


class ReferenceDatapath:
    """Forwards packets of one flowtable in Python.

    Ref: net/netfilter/nf_flow_table_inet.c:nf_flow_offload_inet_hook.
    """

    __slots__ = ("_dissect", "_installed", "_on_end", "_paths", "_profile")

    def __init__(self, family: Family, profile: Profile, on_end: OnEnd) -> None:
        """Forward nothing yet.

        Args:
            family: of the flowtable's table: ``IP``, ``IP6`` or ``INET``.
            profile: how it behaves.
            on_end: called with each packet that ends its flow, before ``process`` returns.
        """
        self._profile = profile
        self._on_end = on_end
        self._dissect = dissector(
            ipv4=family is not Family.IP6,
            ipv6=family is not Family.IP,
            gre=profile.gre,
            tci_mask=VLAN_TCI_MASK if profile.vlan_priority_in_key else VLAN_VID_MASK,
            inner_8021ad=profile.inner_8021ad,
            max_encap=profile.max_encap,
            tunnels=profile.tunnels,
        )
        self._paths: dict[Key | Miss, Path] = {}
        self._installed: dict[FlowEntry, tuple[Path, Path]] = {}

    def __contains__(self, entry: FlowEntry) -> bool:
        return entry in self._installed

    def install(self, entry: FlowEntry) -> None:
        """Forward by an entry, or bring an installed one up to date after a change to it."""
        installed = self._installed.get(entry)
        if installed is not None:
            for path in installed:
                path.update()
            return
        original, reply = entry.directions
        paths = (
            make_path(entry, original, self._profile, self._on_end),
            make_path(entry, reply, self._profile, self._on_end),
        )
        self._installed[entry] = paths
        for path in paths:
            path.older = self._paths.get(path.key)
            self._paths[path.key] = path

    def remove(self, entry: FlowEntry) -> None:
        """Forget an entry; an older one with the same key is found again."""
        self.stats(entry)
        for path in self._installed.pop(entry):
            newer = self._paths[path.key]
            if newer is not path:
                while newer.older is not path:
                    assert newer.older is not None
                    newer = newer.older
                newer.older = path.older
            elif path.older is not None:
                self._paths[path.key] = path.older
            else:
                del self._paths[path.key]

    def stats(self, entry: FlowEntry) -> None:
        """Bring the counts of an entry's directions up to date."""
        for path in self._installed[entry]:
            direction = path.direction
            direction.packets = path.packets
            direction.bytes = path.bytes
            direction.used = path.used

    def active(self, entries: Collection[FlowEntry]) -> Iterable[FlowEntry]:
        """All of the entries: any may have forwarded packets."""
        return list(entries)

    def process(self, frame: bytes, iif: int, now: int) -> Outcome:
        """Forward one frame that arrived on the device with index ``iif``."""
        dissect = self._dissect  # `self._dissect(...)` would look for a method first
        key = dissect(frame, iif)
        path = self._paths.get(key)
        if path is None:
            return Miss.NO_ENTRY if isinstance(key, tuple) else key
        around = path.encapsulation
        if around is not None:
            return path.encapsulated(around, frame, now)
        return path.forward(frame, now)
