"""Sysctls: /proc/sys, and the notifications that two of them have.

Ref: net/ipv4/devinet.c:inet_netconf_fill_devconf, net/ipv6/addrconf.c:inet6_netconf_fill_devconf.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final

from flowtable.live.mirror.rtnetlink import AF_INET, FAMILIES
from flowtable.netlink.attribute import attributes, s32
from flowtable.topology.error import TopologyError
from flowtable.topology.sysctl import device_names, general_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowtable.topology.mirrored import MirroredTopology

PROC: Final = Path("/proc/sys")
_HEADER: Final = Struct("=Bxxx")
_IFINDEX: Final = 1
_ALL: Final = -1
_DEFAULT: Final = -2
_NOTIFIED: Final = {2: "forwarding", 3: "rp_filter"}


class SysctlMirror:
    """The sysctls that the topology knows, as the kernel has them."""

    def __init__(self, topology: MirroredTopology) -> None:
        self._topology = topology
        self._known: dict[str, int] = {}

    def read(self) -> None:
        """Read all of them."""
        self._read(general_names())
        for device in list(self._topology.devices):
            self.read_device(device)

    def read_device(self, device: str) -> None:
        """Read those of one device."""
        self._read(device_names(device))

    def forget(self, device: str) -> None:
        """A device is no longer there."""
        for name in device_names(device):
            self._known.pop(name, None)
        self._topology.sysctls.forget(device)

    def renamed(self, old: str, new: str) -> None:
        """A device has another name now."""
        for was, name in zip(device_names(old), device_names(new), strict=True):
            if was in self._known:
                self._known[name] = self._known.pop(was)

    def told(self, body: bytes) -> None:
        """An RTM_NEWNETCONF message says what some have become."""
        for name, value in self._told(body):
            self._set(name, value)

    def _told(self, body: bytes) -> Iterator[tuple[str, int]]:
        if len(body) < _HEADER.size or body[0] not in FAMILIES:
            return
        values = attributes(body, _HEADER.size)
        index = s32(values.get(_IFINDEX, b""))
        device = self._topology.indexes.get(index)
        names = {_ALL: "all", _DEFAULT: "default"}
        name = names.get(index) if device is None else device.name
        if name is None:
            return
        version = 4 if body[0] == AF_INET else 6
        for kind, leaf in _NOTIFIED.items():
            if kind in values and (version == 4 or leaf == "forwarding"):
                yield f"net.ipv{version}.conf.{name.replace('.', '/')}.{leaf}", s32(values[kind])

    def _read(self, names: Iterable[str]) -> None:
        for name in names:
            path = name.translate({ord("."): "/", ord("/"): "."})
            try:
                value = int((PROC / path).read_text().split()[0])
            except (OSError, ValueError, IndexError):
                # None without conntrack or IPv6, and not all of them are for an ordinary user.
                continue
            self._set(name, value)

    def _set(self, name: str, value: int) -> None:
        if self._known.get(name) == value:
            return
        self._known[name] = value
        try:
            self._topology.set_sysctl(name, value)
        except TopologyError:
            # A value of a kernel that knows more than this one is none that the topology could obey.
            return
