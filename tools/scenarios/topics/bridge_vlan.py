"""Bridges with VLAN filtering: membership, PVIDs, and each mode of the fast path."""

from __future__ import annotations

from dataclasses import replace

from scapy.layers.inet import IP, UDP

from scenarios.author import CLIENT, CLIENT_MAC, Box, Scenario, Udp, flowtable, mac, scenario, traffic
from scenarios.topics.bridge import ALL, OTHER, OTHER_MAC, at, bridged

Q = 0x8100
HOSTS = {"lan1": CLIENT_MAC, "lan2": OTHER_MAC, "lan3": "02:00:00:00:01:79"}


def vlan(vid: int, *flags: str) -> Box:
    """A member of a VLAN table."""
    return {"id": vid, **dict.fromkeys(flags, True)}


def access(vid: int) -> Box:
    """An access port of one VLAN."""
    return {"vlans": [vlan(vid, "pvid", "untagged")]}


def trunk(*vids: int) -> Box:
    """A port that has these VLANs tagged."""
    return {"vlans": [vlan(vid) for vid in vids]}


def filtering(own: list[Box] | None = None, **ports: Box) -> Box:
    """The router whose bridge filters VLANs."""
    keys: Box = {"vlan_filtering": True} | ({} if own is None else {"vlans": own})
    return bridged(ports=tuple(ports), flags=ports, **keys)


def routed_vlan(box: Box, vid: int) -> Box:
    """The bridge's addresses are those of a VLAN device on it."""
    addresses = box["devices"][0].pop("addresses")
    name = f"br0.{vid}"
    box["devices"].append({"name": name, "kind": "vlan", "parent": "br0", "id": vid, "addresses": addresses})
    for neighbour in box["neighbours"]:
        if neighbour["dev"] == "br0":
            neighbour["dev"] = name
    return box


def raw(s: Scenario, port: str, dst: str, *tags: tuple[int, int]) -> None:
    """A frame from the port's host."""
    packet = bytes(IP(src=CLIENT, dst=OTHER, id=0x4242) / UDP(sport=1, dport=2) / b"hello")
    inside = b"".join(tpid.to_bytes(2, "big") + tci.to_bytes(2, "big") for tpid, tci in tags)
    s.frame(port, mac(dst) + mac(HOSTS[port]) + inside + b"\x08\x00" + packet)


@scenario
def default_pvid(s: Scenario) -> None:
    """Without a table every port is in VLAN 1, untagged."""
    s.box = filtering(lan1={}, lan2={})
    raw(s, "lan1", ALL)
    raw(s, "lan1", ALL, (Q, 1))
    raw(s, "lan1", ALL, (Q, 2))
    raw(s, "lan1", ALL, (Q, 0))
    raw(s, "lan2", CLIENT_MAC)


@scenario
def no_default_pvid(s: Scenario) -> None:
    """Without a default PVID a port has no VLAN."""
    s.box = bridged(ports=("lan1", "lan2"), vlan_filtering=True, vlan_default_pvid=0)
    raw(s, "lan1", ALL)
    raw(s, "lan1", ALL, (Q, 1))


@scenario
def membership(s: Scenario) -> None:
    """Access ports, a trunk, a trunk with a native VLAN."""
    native = {"vlans": [vlan(10, "pvid", "untagged"), vlan(20)]}
    s.box = filtering(lan1=access(10), lan2=trunk(10, 20), lan3=native)
    for port in HOSTS:
        for tags in ((), ((Q, 10),), ((Q, 20),), ((Q, 30),), ((Q, 0),), ((Q, 0xA00A),)):
            raw(s, port, ALL, *tags)
    raw(s, "lan1", HOSTS["lan2"])
    raw(s, "lan2", HOSTS["lan1"], (Q, 10))
    raw(s, "lan2", HOSTS["lan1"], (Q, 20))
    raw(s, "lan3", HOSTS["lan1"])


@scenario
def inner_tags(s: Scenario) -> None:
    """The inner tag of a frame is none of the bridge's business; nor is a service tag."""
    s.box = filtering(lan1=access(10), lan2=trunk(10), lan3=access(10))
    raw(s, "lan1", ALL, (0x88A8, 5))
    raw(s, "lan1", ALL, (0x88A8, 5), (Q, 10))
    raw(s, "lan2", ALL, (Q, 10), (Q, 7))
    raw(s, "lan1", ALL, (Q, 10), (Q, 7))


@scenario
def same_host_in_two_vlans(s: Scenario) -> None:
    """The forwarding database is per VLAN."""
    s.box = filtering(lan1=trunk(10, 20), lan2=trunk(10, 20), lan3=trunk(10, 20))
    raw(s, "lan1", ALL, (Q, 10))
    raw(s, "lan2", CLIENT_MAC, (Q, 10))
    raw(s, "lan2", CLIENT_MAC, (Q, 20))


@scenario
def own_pvid(s: Scenario) -> None:
    """The bridge device is in VLAN 10 untagged, the host behind an access port of it."""
    s.box = filtering([vlan(10, "pvid", "untagged")], lan1=access(10), lan2=access(20))
    s.client = at("lan1")
    traffic(s)
    s.client = at("lan2", OTHER_MAC)
    Udp(s, src=OTHER).out()


@scenario
def flow_untagged(s: Scenario) -> None:
    """Both the bridge and the port are untagged: nothing is pushed (mode KEEP from TAG)."""
    s.box = filtering([vlan(10, "pvid", "untagged")], lan1=access(10), lan2=access(10))
    s.client = at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    traffic(s)


@scenario
def flow_tag(s: Scenario) -> None:
    """The bridge is untagged, the port tagged: the fast path pushes the tag (mode TAG)."""
    s.box = filtering([vlan(10, "pvid", "untagged")], lan1=trunk(10), lan2=access(10))
    s.client = replace(at("lan1"), tags=((Q, 10),))
    s.rules = flowtable("lan1", "lan2", "wan0")
    traffic(s)


@scenario
def flow_keep(s: Scenario) -> None:
    """A VLAN device on the bridge and a tagged port: the tag stays (mode KEEP)."""
    s.box = routed_vlan(filtering([vlan(20)], lan1=trunk(20), lan2=access(20)), 20)
    s.client = replace(at("lan1"), tags=((Q, 20),))
    s.rules = flowtable("lan1", "lan2", "wan0")
    traffic(s)


@scenario
def flow_untag(s: Scenario) -> None:
    """A VLAN device on the bridge and an untagged port: the tag goes (mode UNTAG)."""
    s.box = routed_vlan(filtering([vlan(20)], lan1=access(20), lan2=trunk(20)), 20)
    s.client = at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    traffic(s)


@scenario
def classic_on_a_vlan_device(s: Scenario) -> None:
    """A VLAN device on the bridge without a flowtable, from an access port and a trunk."""
    s.box = routed_vlan(filtering([vlan(20)], lan1=access(20), lan2=trunk(20)), 20)
    s.client = at("lan1")
    traffic(s)
    s.client = replace(at("lan2", OTHER_MAC), tags=((Q, 20),))
    Udp(s, src=OTHER).talk(1)


@scenario
def flow_default_pvid(s: Scenario) -> None:
    """A filtering bridge as it comes: VLAN 1 everywhere."""
    s.box, s.client = filtering(lan1={}, lan2={}), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    traffic(s)


@scenario
def flow_on_the_vlan_device(s: Scenario) -> None:
    """The VLAN device on the bridge is listed, not the ports."""
    s.box = routed_vlan(filtering([vlan(20)], lan1=access(20), lan2=trunk(20)), 20)
    s.client = at("lan1")
    s.rules = flowtable("br0.20", "wan0")
    traffic(s)


@scenario
def membership_ends(s: Scenario) -> None:
    """The port leaves the VLAN: the flow goes on as if nothing was."""
    s.box = filtering([vlan(10, "pvid", "untagged")], lan1=trunk(10), lan2=access(10))
    s.client = replace(at("lan1"), tags=((Q, 10),))
    s.rules = flowtable("lan1", "lan2", "wan0")
    Udp(s).talk(3)
    s.event(vlan={"dev": "lan1", "id": 10, "delete": True})
    s.wait(0.3)
    Udp(s).talk(2)
    s.event(vlan={"dev": "lan1", "id": 10, "pvid": True, "untagged": True})
    s.wait(0.3)
    s.client = at("lan1")
    Udp(s).talk(2)


@scenario
def becomes_untagged(s: Scenario) -> None:
    """The port becomes an access port: the flow keeps the tag."""
    s.box = filtering([vlan(10, "pvid", "untagged")], lan1=trunk(10), lan2=access(10))
    s.client = replace(at("lan1"), tags=((Q, 10),))
    s.rules = flowtable("lan1", "lan2", "wan0")
    Udp(s).talk(3)
    s.event(vlan={"dev": "lan1", "id": 10, "pvid": True, "untagged": True})
    s.wait(0.3)
    Udp(s).back()
    s.client = at("lan1")
    Udp(s).talk(2)


@scenario
def service_tags(s: Scenario) -> None:
    """A bridge whose VLANs are 802.1ad."""
    s.box = bridged(
        ports=("lan1", "lan2"),
        flags={"lan1": access(10), "lan2": trunk(10)},
        vlan_filtering=True,
        vlan_protocol="802.1ad",
    )
    raw(s, "lan1", ALL)
    raw(s, "lan1", ALL, (Q, 5))
    raw(s, "lan2", ALL, (0x88A8, 10))
    raw(s, "lan2", ALL, (0x88A8, 10), (Q, 5))
    raw(s, "lan2", ALL, (Q, 10))
