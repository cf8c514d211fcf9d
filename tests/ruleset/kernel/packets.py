"""How the tables write packets.

Packets are separated by ``, `` and are one of

``udp dport=53 size=100 x3``
    a packet from the client behind ``lan0`` to the server behind ``wan0``: ``udp``, ``tcp``, ``icmp``
    or ``sctp``, with a ``6`` behind for IPv6, then fields of its headers, then how often it is sent.
    Beside fields, ``size`` is that of the payload, ``mss`` the option, ``options=020405b4``,
    ``ipoptions=94040000`` and ``extension=hbh`` (``frag``, ``rt``, ``dst``) are put into their headers,
    and ``vlan=5`` tags the frame.
``arp``
    a request of the client for the router.
``back udp``
    the same from the server to the client: addresses and ports change places.
``wait 1.5``
    seconds that pass.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Raw

CLIENT_MAC: Final = "02:00:00:00:01:02"
LAN_MAC: Final = "02:00:00:00:01:01"
SERVER_MAC: Final = "02:00:00:00:02:02"
WAN_MAC: Final = "02:00:00:00:02:01"

_TRANSPORTS: Final[dict[str, Any]] = {
    "udp": UDP(sport=5000, dport=53),
    "tcp": TCP(sport=40000, dport=80, seq=1000, window=65000),
    "icmp": ICMP(id=5, seq=1),
    "icmp6": ICMPv6EchoRequest(id=5, seq=1),
    "sctp": SCTP(sport=5000, dport=80, tag=0) / SCTPChunkInit(init_tag=7, a_rwnd=4096),
}
_EXTENSIONS: Final[dict[str, Any]] = {
    "hbh": IPv6ExtHdrHopByHop(),
    "frag": IPv6ExtHdrFragment(id=77),
    "rt": IPv6ExtHdrRouting(type=4, segleft=0, addresses=["2001:db8::9"]),
    "dst": IPv6ExtHdrDestOpt(),
}
_IPV6_NAMES: Final = {"ttl": "hlim", "tos": "tc"}
_SIZE: Final = 10


class Send(NamedTuple):
    """A frame to put on the wire of a device."""

    device: str
    frame: bytes


class Wait(NamedTuple):
    """Time that passes."""

    seconds: float


Step = Send | Wait


def read_packets(text: str) -> list[Step]:
    """The packets of a row, and the pauses between them."""
    return [step for part in text.split(", ") for step in _steps(part.split())]


def _steps(words: list[str]) -> list[Step]:
    if words[0] == "wait":
        return [Wait(float(words[1]))]
    times = 1
    if words[-1].startswith("x"):
        times = int(words.pop()[1:])
    back = words[0] == "back"
    if back:
        del words[0]
    return [_packet(words[0], dict(word.split("=", 1) for word in words[1:]), back=back)] * times


def _packet(kind: str, fields: dict[str, str], *, back: bool) -> Send:
    if kind == "arp":
        request = ARP(hwsrc=CLIENT_MAC, psrc="10.0.1.2", pdst="10.0.1.1")
        return Send("lan0", bytes(Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff") / request))
    protocol = kind.removesuffix("6")
    size = int(fields.pop("size", _SIZE))
    network: Any
    if kind.endswith("6"):
        network = IPv6(src="2001:db8:1::2", dst="2001:db8:2::2")
        transport = _TRANSPORTS["icmp6" if protocol == "icmp" else protocol].copy()
    else:
        network = IP(src="10.0.1.2", dst="10.0.2.2", id=7)
        transport = _TRANSPORTS[protocol].copy()
    if "ipoptions" in fields:
        network.options = [IPOption(bytes.fromhex(fields.pop("ipoptions")))]
    if "extension" in fields:
        network /= _EXTENSIONS[fields.pop("extension")].copy()
    if "options" in fields:
        options = bytes.fromhex(fields.pop("options"))
        transport.dataofs = 5 + len(options) // 4
        transport /= Raw(options)
    if "mss" in fields:
        transport.options = [("MSS", int(fields.pop("mss")))]
    tag = [Dot1Q(vlan=int(fields.pop("vlan")))] if "vlan" in fields else []
    for name, value in fields.items():
        _set(network, transport, name, value)
    if back:
        network.src, network.dst = network.dst, network.src
        if protocol != "icmp":
            transport.sport, transport.dport = transport.dport, transport.sport
        ether = Ether(src=SERVER_MAC, dst=WAN_MAC)
    else:
        ether = Ether(src=CLIENT_MAC, dst=LAN_MAC)
    for each in tag:
        ether /= each
    return Send("wan0" if back else "lan0", bytes(ether / network / transport / Raw(b"x" * size)))


def _set(network: Any, transport: Any, name: str, text: str) -> None:
    """Set a field of whichever header has it."""
    value: int | str = int(text, 0) if text[0].isdigit() and text.replace("x", "").isalnum() else text
    own = _IPV6_NAMES.get(name, name) if isinstance(network, IPv6) else name
    for layer, field in ((transport, name), (network, own)):
        if field in {description.name for description in layer.fields_desc}:
            setattr(layer, field, value)
            return
    raise ValueError(f"no header of the packet has a field '{name}'")
