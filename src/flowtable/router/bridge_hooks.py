"""The rules of bridges: what frames meet on their way from port to port, and between ports and the box.

Ref: net/bridge/br_input.c, br_forward.c, br_netfilter_hooks.c; net/netfilter/nft_chain_filter.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.packet import ETHERTYPE_IPV4, ETHERTYPE_IPV6, IPV4, IPV6, Packet, PacketType
from flowtable.packet.parse import dissect_unchecked
from flowtable.router import vlan
from flowtable.ruleset.evaluate import BRIDGE
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from flowtable.router.box import Box
    from flowtable.ruleset.hook import Hook
    from flowtable.topology.device import Device

_ETHERNET: Final = 14
_ACCEPT: Final = int(Verdict.ACCEPT)
_HOST: Final = int(PacketType.HOST)
_FAMILIES: Final = {ETHERTYPE_IPV4.to_bytes(2): IPV4, ETHERTYPE_IPV6.to_bytes(2): IPV6}


def passed(
    box: Box,
    hook: Hook,
    frame: bytes,
    source: Device | None,
    target: Device | None,
    pkttype: int = _HOST,
) -> bytes | None:
    """A frame as the rules of a hook leave it, None if they drop it.

    Args:
        box: the box.
        hook: where it is.
        frame: the frame, its VLAN tag included.
        source: the port it came in on, None if the box sends it.
        target: the port it leaves by, None where that is not decided or where it is the box's.
        pkttype: to whom it is addressed.
    """
    chains = box.program.chains(BRIDGE, hook)
    if not chains:
        return frame
    start = vlan.TAGGED_HEADER if frame[12:14] in vlan.TAGS else _ETHERNET
    packet = Packet(
        bytearray(frame[start:]),
        _FAMILIES.get(frame[start - 2 : start], 0),
        link=frame[:start],
        iif=source,
        time=box.now,
        pkttype=pkttype,
    )
    dissect_unchecked(packet)
    packet.oif = target
    packet.hook = int(hook)
    for chain in chains:
        verdict = chain(packet)
        if verdict != _ACCEPT:
            box.ended(packet, verdict)
            return None
    return packet.link + packet.data
