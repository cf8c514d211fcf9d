"""VLAN devices: routed, stacked, and the fast path below them."""

from __future__ import annotations

from dataclasses import replace

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP

from scenarios.author import (
    CLIENT,
    LAN,
    LAN_SIDE,
    SERVER,
    WAN,
    Box,
    Scenario,
    Side,
    Tcp,
    Udp,
    changed,
    flowtable,
    router,
    scenario,
    traffic,
)

Q, AD = 0x8100, 0x88A8


def on_vlans(box: Box, *devices: Box, lan: str, wan: str = "wan0", **keys: int) -> Box:
    """The router with VLAN devices, and the client and the server behind these."""
    box = changed(box, devices=[{"kind": "vlan", **device} for device in devices])
    for old, new in (("lan0", lan), ("wan0", wan)):
        for neighbour in box["neighbours"]:
            if neighbour["dev"] == old:
                neighbour["dev"] = new
        given = next(device for device in box["devices"] if device["name"] == old)
        for device in box["devices"]:
            if device["name"] == new and old != new:
                device["addresses"] = given.pop("addresses")
    return box


def tagged(*vids: int, tpids: tuple[int, ...] = ()) -> Side:
    """The client's side with tags."""
    return replace(LAN_SIDE, tags=tuple(zip(tpids or (Q,) * len(vids), vids, strict=True)))


VLAN10 = on_vlans(router(), {"name": "lan0.10", "parent": "lan0", "id": 10}, lan="lan0.10")
STICK = on_vlans(
    router(),
    {"name": "lan0.10", "parent": "lan0", "id": 10},
    {"name": "lan0.20", "parent": "lan0", "id": 20},
    lan="lan0.10",
    wan="lan0.20",
)
QINQ = on_vlans(
    router(),
    {"name": "lan0.100", "parent": "lan0", "id": 100, "protocol": "802.1ad"},
    {"name": "lan0.100.10", "parent": "lan0.100", "id": 10},
    lan="lan0.100.10",
)


@scenario
def classic(s: Scenario) -> None:
    """Forwarding to and from a VLAN without a flowtable."""
    s.box, s.client = VLAN10, tagged(10)
    traffic(s)


@scenario
def errors(s: Scenario) -> None:
    """ICMP errors and ARP answers go back with the tag."""
    s.box, s.client = VLAN10, tagged(10)
    Udp(s).out(ttl=1)
    Udp(s, dst=LAN).out()
    s.lan(ARP(op=1, hwsrc=LAN_SIDE.src, psrc=CLIENT, pdst=LAN), dst="ff:ff:ff:ff:ff:ff")
    s.lan(ARP(op=1, hwsrc=LAN_SIDE.src, psrc=CLIENT, pdst=WAN), dst="ff:ff:ff:ff:ff:ff")


@scenario
def others(s: Scenario) -> None:
    """Frames without the tag, with another one, with a priority tag: not for the VLAN device."""
    s.box, s.client = VLAN10, tagged(10)
    Udp(s).out()
    for tags in ((), ((Q, 11),), ((Q, 0),), ((Q, 0xA000),), ((AD, 10),), ((Q, 10), (Q, 0))):
        s.client = replace(LAN_SIDE, tags=tags)
        Udp(s).out()


@scenario
def priority_tag_on_the_device(s: Scenario) -> None:
    """A priority tag (VID 0) is taken off for the device itself."""
    s.client = tagged(0xA000)
    traffic(s)


@scenario
def priority_tag_and_flowtable(s: Scenario) -> None:
    """A priority tag is part of the key: no packet with it takes the fast path."""
    s.client = tagged(0xA000)
    s.rules = flowtable()
    traffic(s)


@scenario
def flow(s: Scenario) -> None:
    """The fast path is on the device below the VLAN."""
    s.box, s.client = VLAN10, tagged(10)
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def flow_on_the_vlan_device(s: Scenario) -> None:
    """The VLAN device itself is listed."""
    s.box, s.client = VLAN10, tagged(10)
    s.rules = flowtable("lan0.10", "wan0")
    traffic(s)


@scenario
def flow_on_both(s: Scenario) -> None:
    """The VLAN device and the device below are listed."""
    s.box, s.client = VLAN10, tagged(10)
    s.rules = flowtable("lan0", "lan0.10", "wan0")
    traffic(s)


@scenario
def priority_bits(s: Scenario) -> None:
    """Packets whose tag has a priority never match an entry."""
    s.box, s.client = VLAN10, tagged(0xA00A)
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def drop_eligible_bit(s: Scenario) -> None:
    """Packets whose tag has the DEI bit never match an entry."""
    s.box, s.client = VLAN10, tagged(0x100A)
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(4)


@scenario
def router_on_a_stick(s: Scenario) -> None:
    """Both sides are VLANs of one device."""
    s.box, s.client = STICK, tagged(10)
    s.server = Side("lan0", "02:00:00:00:02:99", LAN_SIDE.dst, ((Q, 20),))
    s.rules = flowtable("lan0")
    traffic(s)


@scenario
def one_side_listed(s: Scenario) -> None:
    """Only the VLAN's side is listed: the way back is classic."""
    s.box, s.client = VLAN10, tagged(10)
    s.rules = flowtable("lan0")
    traffic(s)


@scenario
def qinq(s: Scenario) -> None:
    """802.1Q within 802.1ad."""
    s.box, s.client = QINQ, tagged(100, 10, tpids=(AD, Q))
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def qinq_classic(s: Scenario) -> None:
    """802.1Q within 802.1ad without a flowtable; errors."""
    s.box, s.client = QINQ, tagged(100, 10, tpids=(AD, Q))
    traffic(s)
    Udp(s).out(ttl=1)


@scenario
def qinq_of_one_protocol(s: Scenario) -> None:
    """802.1Q within 802.1Q."""
    devices = (
        {"name": "lan0.100", "parent": "lan0", "id": 100},
        {"name": "lan0.100.10", "parent": "lan0.100", "id": 10},
    )
    s.box, s.client = on_vlans(router(), *devices, lan="lan0.100.10"), tagged(100, 10)
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def service_tag_inside(s: Scenario) -> None:
    """802.1ad within 802.1Q: the inner tag is not understood."""
    devices = (
        {"name": "lan0.100", "parent": "lan0", "id": 100},
        {"name": "lan0.100.10", "parent": "lan0.100", "id": 10, "protocol": "802.1ad"},
    )
    s.box = on_vlans(router(), *devices, lan="lan0.100.10")
    s.client = tagged(100, 10, tpids=(Q, AD))
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def three_tags(s: Scenario) -> None:
    """A tag more than the fast path can hold."""
    devices = (
        {"name": "lan0.1", "parent": "lan0", "id": 1},
        {"name": "lan0.1.2", "parent": "lan0.1", "id": 2},
        {"name": "lan0.1.2.3", "parent": "lan0.1.2", "id": 3},
    )
    s.box, s.client = on_vlans(router(), *devices, lan="lan0.1.2.3"), tagged(1, 2, 3)
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def masqueraded(s: Scenario) -> None:
    """Translation on the fast path of a VLAN."""
    s.box, s.client = VLAN10, tagged(10)
    s.rules = flowtable(
        "lan0",
        "wan0",
        more="chain nat { type nat hook postrouting priority srcnat; oifname wan0 masquerade; }",
    )
    Udp(s, seen_src=WAN).talk(3)
    connection = Tcp(s, seen_src=WAN)
    connection.open()
    connection.talk(2)


@scenario
def own_mac(s: Scenario) -> None:
    """A VLAN device with a MAC address of its own: the fast path sends from it."""
    device = {"name": "lan0.10", "parent": "lan0", "id": 10, "mac": "02:00:00:00:01:0a"}
    s.box = on_vlans(router(), device, lan="lan0.10")
    s.client = replace(tagged(10), dst="02:00:00:00:01:0a")
    s.rules = flowtable("lan0", "wan0")
    traffic(s)
    s.client = tagged(10)
    Udp(s).out()


@scenario
def smaller_mtu(s: Scenario) -> None:
    """The MTU of the VLAN device counts, not that of the device below."""
    device = {"name": "lan0.10", "parent": "lan0", "id": 10, "mtu": 1400}
    s.box, s.client = on_vlans(router(), device, lan="lan0.10"), tagged(10)
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    for size in (1372, 1373):
        Udp(s).back(b"x" * size, flags="DF")
        Udp(s).back(b"x" * size)


@scenario
def fragments(s: Scenario) -> None:
    """Packets are cut for the VLAN."""
    device = {"name": "lan0.10", "parent": "lan0", "id": 10, "mtu": 1400}
    s.box, s.client = on_vlans(router(), device, lan="lan0.10"), tagged(10)
    s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / (b"y" * 1450))


@scenario
def upper_goes_down(s: Scenario) -> None:
    """The VLAN device goes down: its flows stay, as their key has the device below."""
    s.box, s.client = VLAN10, tagged(10)
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    s.event(link={"dev": "lan0.10", "up": False})
    s.wait(0.5)
    Udp(s).talk(2)


@scenario
def lower_goes_down(s: Scenario) -> None:
    """The device below goes down and comes up again: its flows end."""
    s.box, s.client = VLAN10, tagged(10)
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    s.event(link={"dev": "lan0", "up": False})
    s.wait(1.5)
    s.event(link={"dev": "lan0", "up": True})
    s.event(neighbour={"address": CLIENT, "dev": "lan0.10", "mac": LAN_SIDE.src})
    s.wait(0.5)
    Udp(s).talk(3)


@scenario
def removed(s: Scenario) -> None:
    """The VLAN device is removed while flows are below it."""
    s.box, s.client = VLAN10, tagged(10)
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    s.event(link={"dev": "lan0.10", "delete": True})
    s.wait(2.5)
    Udp(s).talk(2)


@scenario
def chains_of_both_devices(s: Scenario) -> None:
    """Ingress and egress chains run on the device below and on the VLAN device."""
    s.box, s.client = VLAN10, tagged(10)
    chains = "".join(
        f"chain {name}_{hook} {{ type filter hook {hook} device {device} priority 0; counter; }}\n"
        for name, device in (("below", "lan0"), ("vlan", "lan0.10"))
        for hook in ("ingress", "egress")
    )
    s.rules = f"table netdev n {{\n{chains}}}\n" + flowtable("lan0", "wan0")
    traffic(s)
