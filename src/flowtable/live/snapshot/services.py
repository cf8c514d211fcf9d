"""What listens on the host: /proc/net/tcp and its like.

Ref: net/ipv4/tcp_ipv4.c:get_tcp4_sock, net/ipv4/udp.c:udp4_format_sock.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from flowtable.packet.packet import TCP, UDP
from flowtable.topology.topology import Service

_TABLES: Final = (("tcp", TCP), ("tcp6", TCP), ("udp", UDP), ("udp6", UDP))
_LISTENS: Final = {TCP: "0A", UDP: "07"}
"""TCP_LISTEN, and TCP_CLOSE: a UDP socket without a peer."""


def parse(table: str, protocol: int) -> list[Service]:
    """The services in a table: its lines have local address and port, those of the peer, and a state."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) < 4 or words[3] != _LISTENS[protocol]:
            continue
        address, _, port = words[1].partition(":")
        packed = _address(address)
        if packed[:12] == bytes(10) + b"\xff\xff":
            packed = packed[12:]
        if int(port, 16):
            found.append(Service(protocol, int(port, 16), packed if any(packed) else None))
    return found


def _address(text: str) -> bytes:
    """An address, which is printed as numbers of 32 bits in the byte order of the host."""
    words = [bytes.fromhex(text[start : start + 8]) for start in range(0, len(text), 8)]
    return b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)


def read() -> list[Service]:
    """What listens in this network namespace, each once."""
    services: dict[Service, None] = {}
    for name, protocol in _TABLES:
        try:
            services |= dict.fromkeys(parse(Path("/proc/net", name).read_text(), protocol))
        except FileNotFoundError:
            continue
    return list(services)
