"""The same entries in several datapaths, and frames that are nearly theirs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from random import Random
from typing import Any

from flowtable.flows.entry import FlowEntry
from flowtable.flows.teardown import Teardown
from flowtable.packet import packet as wire
from flowtable.packet.flowkey import FlowKey, network_offset

EXAMPLES = int(os.environ.get("FLOWTABLE_FUZZ", "1"))
"""How many times as many examples as in the tests; set by `make fuzz`, which lets chance choose them."""
TTL = {wire.IPV4: 8, wire.IPV6: 7}
PROTOCOL = {wire.IPV4: 9, wire.IPV6: 6}
HEADER = {wire.IPV4: 20, wire.IPV6: 40}


@dataclass
class Ends:
    """What a datapath said of flows that ended."""

    seen: list[tuple[FlowEntry, Teardown, int]] = field(default_factory=list)

    def __call__(self, entry: FlowEntry, reason: Teardown, now: int) -> None:
        self.seen.append((entry, reason, now))


def addressed(key: FlowKey, station: bytes, source: bytes, random: Random) -> tuple[bytearray, int]:
    """The link-layer header of frames with a key, tags with any priority; and where IP begins.

    ``station`` and ``source`` are the MAC addresses.
    """
    head = bytearray(station + source)
    ethertype = b"\x08\x00" if key.l3proto == wire.IPV4 else b"\x86\xdd"
    sessions: list[int] = []
    for identifier, protocol in key.encap:
        if protocol < 0x600:
            break  # a tunnel, which is no part of the link layer
        head += protocol.to_bytes(2)
        if protocol == wire.ETHERTYPE_PPPOE_SESSION:
            head += b"\x11\x00" + identifier.to_bytes(2)
            sessions.append(len(head))
            head += b"\x00\x00"
            ethertype = b"\x00\x21" if key.l3proto == wire.IPV4 else b"\x00\x57"
        else:
            priority = random.choice([0, 0, 0x2000, 0xA000, 0xF000])
            head += (priority | identifier).to_bytes(2)
    return head + ethertype, sessions[0] if sessions else 0


def frame(key: FlowKey, station: bytes, source: bytes, random: Random) -> bytearray:
    """A good frame with a key, of any size."""
    head, session = addressed(key, station, source, random)
    if key.l4proto == wire.TCP:
        rest = random.randbytes(8) + bytes((0x50, random.choice([0x10, 0x10, 0x18, 0x02, 0x11, 0x04, 0x14])))
        transport = bytearray(key.wire[-4:] + rest + random.randbytes(6))
    elif key.l4proto == wire.UDP:
        transport = bytearray(key.wire[-4:] + bytes(2) + random.choice([bytes(2), random.randbytes(2)]))
    else:
        transport = bytearray(bytes((random.choice([0, 0x20]), 0, 8, 0)))
    transport += random.randbytes(random.choice([0, 1, 18, 26, 100, random.randrange(1460), 1460, 1500]))
    if key.l4proto == wire.UDP:
        transport[4:6] = min(len(transport), 0xFFFF).to_bytes(2)
    ttl = random.choice([64, 64, 64, 255, 2, 1, 0])
    if key.l3proto == wire.IPV4:
        size = 20 + len(transport)
        ip = bytes((0x45, random.randrange(256))) + size.to_bytes(2) + random.randbytes(2)
        ip += random.choice([b"\x40\x00", b"\x00\x00"]) + bytes((ttl, key.l4proto)) + random.randbytes(2)
    else:
        ip = bytes((0x60, *random.randbytes(3))) + len(transport).to_bytes(2) + bytes((key.l4proto, ttl))
    packet = ip + key.wire[:-4] + transport
    for identifier, protocol in key.encap:
        if protocol == 4:
            outer = bytes((0x45, 0)) + (20 + len(packet)).to_bytes(2) + bytes((0, 0, 0x40, 0, 64, 4, 1, 2))
            packet = outer + identifier.to_bytes(8) + packet
        elif protocol == 41:
            packet = (
                b"\x60\0\0\0" + len(packet).to_bytes(2) + bytes((41, 64)) + identifier.to_bytes(32) + packet
            )
    if session:
        head[session : session + 2] = (len(packet) + 2).to_bytes(2)
    return head + packet


def spoil(whole: bytearray, key: FlowKey, random: Random) -> bytes:
    """A frame as the network may deliver it: cut, padded, fragmented, with options, with flipped bits."""
    at = len(whole) - len(_packet(whole, key))
    match random.randrange(16):
        case 0:
            return bytes(whole[: random.randrange(len(whole))])
        case 1 | 2:
            return bytes(whole) + bytes(random.choice([1, 6, 18, 46]))
        case 3:
            whole[at + 6 : at + 8] = random.choice([b"\x20\x00", b"\x00\x10", b"\x3f\xff"])
        case 4:
            whole[at] = random.choice([0x46, 0x4F, 0x44, 0x65])
        case 5:
            whole[at + PROTOCOL[key.l3proto]] = random.choice([1, 4, 41, 44, 0, 43, 47, 6, 17, 58, 132])
        case 6:
            whole[at + 2 : at + 6] = random.randbytes(4)
        case 7:
            place = random.randrange(len(whole))
            whole[place] ^= 1 << random.randrange(8)
        case 8:
            whole[12:14] = random.choice([b"\x81\x00", b"\x88\xa8", b"\x88\x64", b"\x08\x06", b"\x08\x00"])
        case 9:
            whole[random.randrange(12)] ^= random.choice([1, 2, 0x80])
        case 10:
            tags = b"".join(random.choice([b"\x81\x00", b"\x88\xa8"]) + random.randbytes(2) for _ in range(5))
            return bytes(whole[:12]) + tags[: 4 * random.randrange(1, 6)] + bytes(whole[12:])
        case _:
            pass
    return bytes(whole)


def _packet(whole: bytearray, key: FlowKey) -> Any:
    return whole[network_offset(key.encap) :]


def counts(entry: FlowEntry) -> list[tuple[int, int, int]]:
    """What was counted of an entry, after a datapath's ``stats``."""
    return [(way.packets, way.bytes, way.used) for way in entry.directions]
