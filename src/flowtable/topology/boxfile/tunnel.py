"""``kind: ipip``, ``ip6ip6`` and ``sit``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtable.topology.boxfile import text
from flowtable.topology.boxfile.common import mtu, parent
from flowtable.topology.boxfile.document import Scalar
from flowtable.topology.boxfile.draft import Draft
from flowtable.topology.boxfile.reader import Field, Section
from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.tunnel import Tunnel, outer_size

KEYS: Final = ("parent", "local", "remote", "ttl")
IP6IP6_KEYS: Final = (*KEYS, "encaplimit")
IP6IP6_TTL: Final = 64
ENCAPLIMIT: Final = 4
"""What ``ip link add type ip6tnl`` sends, as its hop limit. Ref: iproute2 ip/link_ip6tnl.c."""


def read(section: Section, name: str, index: int, draft: Draft) -> Tunnel:
    """An ipip tunnel; its TTL is inherited unless it is given."""
    return _read(section, name, index, draft, DeviceKind.IPIP, 0)


def read_sit(section: Section, name: str, index: int, draft: Draft) -> Tunnel:
    """A sit tunnel, IPv6 in IPv4."""
    return _read(section, name, index, draft, DeviceKind.SIT, 0)


def read_ip6ip6(section: Section, name: str, index: int, draft: Draft) -> Tunnel:
    """An ip6tnl tunnel in mode ip6ip6."""
    usual: int | None = ENCAPLIMIT
    limit = section.get("encaplimit", _encaplimit, usual)
    tunnel = _read(section, name, index, draft, DeviceKind.IP6IP6, IP6IP6_TTL, 0 if limit is None else 8)
    tunnel.encaplimit = limit
    return tunnel


def _read(
    section: Section, name: str, index: int, draft: Draft, kind: DeviceKind, ttl: int, options: int = 0
) -> Tunnel:
    lower = parent(section, draft)
    size = outer_size(kind)
    none = bytes(size)
    return Tunnel(
        name,
        index,
        kind=kind,
        mtu=mtu(section, _room(lower, size, options)),
        lower=lower,
        local=section.need("local", lambda f: f.address(size)) or none,
        remote=section.need("remote", lambda f: f.address(size)) or none,
        ttl=section.get("ttl", _ttl, ttl),
    )


def _room(lower: Device | None, size: int, options: int) -> int:
    """What of the lower device's MTU the outer header leaves."""
    outer = (20 if size == 4 else 40) + options
    return (1500 if lower is None else lower.mtu) - outer


def _ttl(field: Field) -> int:
    if isinstance(field.node, Scalar) and field.node.text == "inherit":
        return 0
    return field.integer(0, 255)


def _encaplimit(field: Field) -> int | None:
    if isinstance(field.node, Scalar) and field.node.text == "none":
        return None
    return field.integer(0, 255)


def write(device: Tunnel) -> Iterator[tuple[str, str]]:
    """Keys and values of its own."""
    yield "local", text.address(device.local)
    yield "remote", text.address(device.remote)
    yield "ttl", str(device.ttl) if device.ttl else "inherit"
    if device.kind is DeviceKind.IP6IP6:
        yield "encaplimit", "none" if device.encaplimit is None else str(device.encaplimit)
