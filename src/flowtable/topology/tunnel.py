"""IP in IP: ipip, ip6ip6 (ip6tnl) and sit. Ref: net/ipv4/ipip.c, net/ipv6/ip6_tunnel.c, net/ipv6/sit.c."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flowtable.topology.device import Device, DeviceKind
from flowtable.topology.error import TopologyError


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Tunnel(Device):
    """A tunnel to one remote end; ``kind`` says what is in what. ``lower`` binds it to a device.

    Attributes:
        local: outer source address, 4 or 16 bytes.
        remote: outer destination address, 4 or 16 bytes.
        ttl: outer TTL or hop limit, 0 to inherit the inner packet's.
        encaplimit: RFC 2473 tunnel encapsulation limit to send, None for none; ip6ip6 only.
    """

    kind: DeviceKind = DeviceKind.IPIP
    local: bytes
    remote: bytes
    ttl: int = 0
    encaplimit: int | None = None


def outer_size(kind: DeviceKind) -> int:
    """Bytes of the addresses outside of the tunnel."""
    return 16 if kind is DeviceKind.IP6IP6 else 4


def check_tunnel(tunnel: Tunnel, devices: Iterable[Device]) -> None:
    """Check the two ends of a tunnel. Ref: net/ipv4/ip_tunnel.c:ip_tunnel_newlink.

    Raises:
        TopologyError: they are not of the outer family, or another tunnel has them.
    """
    size = outer_size(tunnel.kind)
    family = "IPv6" if size == 16 else "IPv4"
    for about, address in (("local", tunnel.local), ("remote", tunnel.remote)):
        if len(address) != size:
            raise TopologyError(f"{tunnel.kind.value} runs over {family}", about)
    for other in devices:
        if isinstance(other, Tunnel) and _ends(other) == _ends(tunnel):
            raise TopologyError(f"File exists: {other.name} has the same ends", "remote")


def _ends(tunnel: Tunnel) -> tuple[object, ...]:
    return tunnel.kind, tunnel.local, tunnel.remote, tunnel.lower
