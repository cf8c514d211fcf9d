"""IP in IP: ipip, ip6ip6 (ip6tnl) and sit. Ref: net/ipv4/ipip.c, net/ipv6/ip6_tunnel.c, net/ipv6/sit.c."""

from __future__ import annotations

from dataclasses import dataclass

from flowtable.topology.device import Device


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class Tunnel(Device):
    """A tunnel to one remote end; ``kind`` says what is in what. ``lower`` binds it to a device.

    Attributes:
        local: outer source address, 4 or 16 bytes.
        remote: outer destination address, 4 or 16 bytes.
        ttl: outer TTL or hop limit, 0 to inherit the inner packet's.
        encaplimit: RFC 2473 tunnel encapsulation limit to send, None for none; ip6ip6 only.
    """

    local: bytes
    remote: bytes
    ttl: int = 0
    encaplimit: int | None = None
