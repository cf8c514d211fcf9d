"""Bridges without VLAN filtering: switching, routing, and the fast path between ports."""

from __future__ import annotations

from dataclasses import replace

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP

from scenarios.author import (
    CLIENT,
    CLIENT_MAC,
    LAN,
    Box,
    Scenario,
    Side,
    Tcp,
    Udp,
    flowtable,
    mac,
    router,
    scenario,
    traffic,
)

BRIDGE = "02:00:00:00:01:01"
OTHER, OTHER_MAC = "10.0.1.77", "02:00:00:00:01:77"
ALL = "ff:ff:ff:ff:ff:ff"
FAR = "10.8.0.5"
"""Behind the client."""


def bridged(
    *, ports: tuple[str, ...] = ("lan1", "lan2"), flags: dict[str, Box] | None = None, **keys: object
) -> Box:
    """The router with a bridge and its ports in the place of lan0."""
    box = router()
    lan = box["devices"].pop(0)
    bridge = {"name": "br0", "kind": "bridge", "mac": BRIDGE, **keys, "addresses": lan["addresses"]}
    members: list[Box] = [
        {"name": port, "mac": f"02:00:00:00:01:1{number}", "master": "br0", **(flags or {}).get(port, {})}
        for number, port in enumerate(ports, 1)
    ]
    box["devices"] = [bridge, *members, *box["devices"]]
    for neighbour in box["neighbours"]:
        if neighbour["dev"] == "lan0":
            neighbour["dev"] = "br0"
    box["neighbours"].append({"address": OTHER, "dev": "br0", "mac": OTHER_MAC})
    return box


def at(port: str, host: str = CLIENT_MAC, to: str = BRIDGE) -> Side:
    """A host behind a port."""
    return Side(port, host, to)


def raw(s: Scenario, port: str, src: str, dst: str, data: bytes = b"hello") -> None:
    """A frame between two hosts on the bridge."""
    packet = bytes(IP(src=CLIENT, dst=OTHER, id=0x4242) / UDP(sport=1, dport=2) / data)
    s.frame(port, mac(dst) + mac(src) + b"\x08\x00" + packet)


@scenario
def learning(s: Scenario) -> None:
    """Flooded while nobody knows where the host is, then not any more; never back where it came from."""
    s.box = bridged(ports=("lan1", "lan2", "lan3"))
    raw(s, "lan1", CLIENT_MAC, OTHER_MAC, b"flooded")
    raw(s, "lan2", OTHER_MAC, CLIENT_MAC, b"known")
    raw(s, "lan1", CLIENT_MAC, OTHER_MAC, b"known")
    raw(s, "lan1", "02:00:00:00:01:78", CLIENT_MAC, b"same port")
    raw(s, "lan3", "02:00:00:00:01:79", ALL, b"broadcast")
    raw(s, "lan3", "02:00:00:00:01:79", "33:33:00:00:00:77", b"multicast")
    raw(s, "lan3", "02:00:00:00:01:79", "01:80:c2:00:00:00", b"reserved")
    raw(s, "lan3", "02:00:00:00:01:79", "01:80:c2:00:00:0e", b"LLDP")
    raw(s, "lan3", "01:00:5e:00:00:01", CLIENT_MAC, b"from a group")


@scenario
def other_protocols(s: Scenario) -> None:
    """What the box itself would not understand is switched all the same, tagged frames as well."""
    s.box = bridged()
    raw(s, "lan2", OTHER_MAC, ALL)
    head = mac(OTHER_MAC) + mac(CLIENT_MAC)
    s.frame("lan1", head + b"\x88\xb5" + bytes(46))
    s.frame("lan1", head + b"\x81\x00\x00\x05\x08\x00" + bytes(46))
    s.frame("lan1", head + b"\x00\x2e" + b"\xaa\xaa\x03" + bytes(43))
    s.lan(ARP(op=1, hwsrc=CLIENT_MAC, psrc=CLIENT, pdst=OTHER), device="lan1", dst=ALL)
    s.lan(ARP(op=1, hwsrc=CLIENT_MAC, psrc=CLIENT, pdst=LAN), device="lan1", dst=ALL)


@scenario
def routed(s: Scenario) -> None:
    """From a bridge port to the server and back."""
    s.box, s.client = bridged(), at("lan1")
    traffic(s)
    Udp(s).out(ttl=1)


@scenario
def to_an_unknown_host(s: Scenario) -> None:
    """The neighbour is known, its port is not: the packet is flooded."""
    s.box, s.client = bridged(), at("lan1")
    Udp(s, dst=OTHER).back()
    s.wan(IP(src="10.0.2.99", dst=OTHER, id=0x4242) / UDP(sport=1, dport=2) / b"x")


@scenario
def port_flags(s: Scenario) -> None:
    """Isolated ports, a port that does not learn, one that gets no flood, one with hairpin."""
    ports = ("lan1", "lan2", "lan3", "lan4", "lan5")
    flags = {
        "lan1": {"isolated": True},
        "lan2": {"isolated": True},
        "lan3": {"flood": False, "mcast_flood": False, "bcast_flood": False},
        "lan4": {"learning": False},
        "lan5": {"hairpin": True},
    }
    s.box = bridged(ports=ports, flags=flags)
    hosts = {port: f"02:00:00:00:01:a{number}" for number, port in enumerate(ports, 1)}
    for port in ports:
        raw(s, port, hosts[port], ALL, b"broadcast")
        raw(s, port, hosts[port], "33:33:00:00:00:77", b"multicast")
        raw(s, port, hosts[port], "02:00:00:00:01:ee", b"unknown")
    for port in ports:
        for other in ports:
            raw(s, port, hosts[port], hosts[other], b"unicast")


@scenario
def port_states(s: Scenario) -> None:
    """Ports that listen, learn, or are disabled. Blocked ones cannot be had without STP."""
    ports = ("lan1", "lan2", "lan3", "lan4", "lan5")
    states = ("forwarding", "listening", "learning", "disabled", "forwarding")
    s.box = bridged(ports=ports, flags={p: {"state": st} for p, st in zip(ports, states, strict=True)})
    hosts = {port: f"02:00:00:00:01:a{number}" for number, port in enumerate(ports, 1)}
    for port in ports:
        raw(s, port, hosts[port], ALL, b"broadcast")
    for port in ports[1:]:
        raw(s, "lan1", hosts["lan1"], hosts[port], b"unicast")
        s.lan(
            IP(src=CLIENT, dst=LAN, id=0x4242) / UDP(sport=1, dport=2) / b"to the box",
            device=port,
            src=hosts[port],
            dst=BRIDGE,
        )


@scenario
def aged(s: Scenario) -> None:
    """A host that was silent for too long is flooded to again; static entries stay."""
    s.box = bridged(ports=("lan1", "lan2", "lan3"), ageing_time=2)
    s.box["fdb"] = [{"mac": OTHER_MAC, "dev": "lan2", "state": "static"}]
    raw(s, "lan1", CLIENT_MAC, OTHER_MAC, b"static")
    raw(s, "lan3", "02:00:00:00:01:79", CLIENT_MAC, b"known")
    s.wait(4.5)
    raw(s, "lan3", "02:00:00:00:01:79", CLIENT_MAC, b"aged")
    raw(s, "lan1", CLIENT_MAC, OTHER_MAC, b"static")


@scenario
def fixed_entries(s: Scenario) -> None:
    """Static entries do not move, permanent ones are the box's own, dynamic ones follow the host."""
    s.box = bridged(ports=("lan1", "lan2", "lan3"))
    s.box["fdb"] = [
        {"mac": "02:00:00:00:01:b1", "dev": "lan2", "state": "static"},
        {"mac": "02:00:00:00:01:b2", "dev": "lan2", "state": "permanent"},
        {"mac": "02:00:00:00:01:b3", "dev": "lan2", "state": "dynamic"},
    ]
    for last in ("b1", "b2", "b3"):
        host = f"02:00:00:00:01:{last}"
        raw(s, "lan1", CLIENT_MAC, host, b"before")
        raw(s, "lan3", host, ALL, b"moves")
        raw(s, "lan1", CLIENT_MAC, host, b"after")


@scenario
def to_a_port_s_own_address(s: Scenario) -> None:
    """A port's own MAC address is the box's, too."""
    s.box = bridged()
    s.lan(
        IP(src=CLIENT, dst=LAN, id=0x4242) / UDP(sport=1, dport=2) / b"x",
        device="lan1",
        dst="02:00:00:00:01:12",
    )
    s.lan(IP(src=CLIENT, dst=LAN, id=0x4242) / UDP(sport=1, dport=2) / b"x", device="lan1", dst=BRIDGE)
    s.client = at("lan1", to="02:00:00:00:01:11")
    Udp(s).talk(1)


@scenario
def flow(s: Scenario) -> None:
    """The ports are listed: direct to the port where the host is."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    traffic(s)


@scenario
def flow_on_the_bridge(s: Scenario) -> None:
    """The bridge itself is listed instead of its ports."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("br0", "wan0")
    traffic(s)


@scenario
def port_not_listed(s: Scenario) -> None:
    """The port where the host is is not listed."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan2", "wan0")
    traffic(s)


@scenario
def both_sides_bridges(s: Scenario) -> None:
    """From one bridge to another."""
    box = bridged()
    wan = next(device for device in box["devices"] if device["name"] == "wan0")
    bridge = {
        "name": "br1",
        "kind": "bridge",
        "mac": "02:00:00:00:02:01",
        "addresses": wan.pop("addresses"),
    }
    wan["mac"], wan["master"] = "02:00:00:00:02:11", "br1"
    box["devices"].insert(0, bridge)
    for neighbour in box["neighbours"]:
        if neighbour["dev"] == "wan0":
            neighbour["dev"] = "br1"
    s.box, s.client = box, at("lan1")
    s.rules = flowtable("lan1", "wan0")
    traffic(s)


@scenario
def masqueraded(s: Scenario) -> None:
    """Translation between a bridge port and the server."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable(
        "lan1",
        "lan2",
        "wan0",
        more="chain nat { type nat hook postrouting priority srcnat; oifname wan0 masquerade; }",
    )
    Udp(s, seen_src="10.0.2.1").talk(3)
    connection = Tcp(s, seen_src="10.0.2.1")
    connection.open()
    connection.talk(2)


@scenario
def between_two_subnets_of_one_bridge(s: Scenario) -> None:
    """Routed back into the bridge it came from."""
    s.box = bridged()
    s.box["devices"][0]["addresses"].append("10.0.3.1/24")
    s.box["neighbours"].append({"address": "10.0.3.5", "dev": "br0", "mac": OTHER_MAC})
    s.client, s.server = at("lan1"), at("lan2", OTHER_MAC)
    s.rules = flowtable("lan1", "lan2")
    Udp(s, dst="10.0.3.5").talk(3)


@scenario
def host_moves(s: Scenario) -> None:
    """A host moves to another port and says so: its flow goes on to the old one."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    Udp(s).talk(3)
    s.client = at("lan2")
    s.lan(ARP(op=1, hwsrc=CLIENT_MAC, psrc=CLIENT, pdst=CLIENT), dst=ALL)
    Udp(s).back()
    Udp(s).out()
    Udp(s).back()
    Udp(s).talk(2)


@scenario
def host_moves_silently(s: Scenario) -> None:
    """A host moves to another port without a word: the first the box hears is its next packet."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    Udp(s).talk(3)
    s.client = at("lan2")
    Udp(s).back()
    Udp(s).talk(3)


@scenario
def entry_moves(s: Scenario) -> None:
    """The entry of the forwarding database is moved by hand."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    Udp(s).talk(3)
    s.event(fdb={"mac": CLIENT_MAC, "dev": "lan2", "state": "static"})
    Udp(s).back()
    s.client = at("lan2")
    Udp(s).talk(3)


@scenario
def port_goes_down(s: Scenario) -> None:
    """The port goes down, the host comes back on another one."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    Udp(s).talk(3)
    s.event(link={"dev": "lan1", "up": False})
    s.wait(1.5)
    Udp(s).back()
    s.client = at("lan2")
    Udp(s).out()
    Udp(s).talk(2)


@scenario
def bridge_goes_down(s: Scenario) -> None:
    """The bridge goes down, its ports stay up: the flow stays."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    Udp(s).talk(3)
    s.event(link={"dev": "br0", "up": False})
    s.wait(2.5)
    Udp(s).talk(2)


@scenario
def port_leaves(s: Scenario) -> None:
    """A port leaves the bridge: what it then receives is not for the bridge any more, but for the flow."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    Udp(s).talk(3)
    s.event(link={"dev": "lan1", "master": "none"})
    s.wait(0.3)
    s.client = at("lan1", to="02:00:00:00:01:11")
    Udp(s).talk(2)


@scenario
def route_changes(s: Scenario) -> None:
    """The route to the client moves to another device: the flow goes on to the bridge port."""
    box = bridged()
    box["devices"].append({"name": "lan9", "mac": "02:00:00:00:09:01", "addresses": ["10.0.9.1/24"]})
    box["neighbours"] += [
        {"address": FAR, "dev": "br0", "mac": CLIENT_MAC},
        {"address": "10.0.9.9", "dev": "lan9", "mac": "02:00:00:00:09:09"},
    ]
    box["routes"] = [{"to": "10.8.0.0/16", "via": CLIENT}]
    s.box, s.client = box, at("lan1")
    s.rules = flowtable("lan1", "lan2", "lan9", "wan0")
    udp = Udp(s, src=FAR)
    udp.talk(3)
    s.event(route={"to": "10.8.0.0/24", "via": "10.0.9.9"})
    s.wait(0.3)
    udp.talk(3)


@scenario
def neighbour_changes(s: Scenario) -> None:
    """The host's MAC address changes: a flow that goes direct does not notice."""
    s.box, s.client = bridged(), at("lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    raw(s, "lan2", OTHER_MAC, ALL)
    Udp(s).talk(3)
    s.event(neighbour={"address": CLIENT, "dev": "br0", "mac": OTHER_MAC})
    Udp(s).back()
    s.client = at("lan2", OTHER_MAC)
    Udp(s).talk(2)


@scenario
def vlan_device_as_port(s: Scenario) -> None:
    """A VLAN device is a port: the fast path is on the device below it."""
    s.box = bridged(ports=("lan2",))
    s.box["devices"].append({"name": "lan1", "mac": "02:00:00:00:01:1a"})
    s.box["devices"].append({"name": "lan1.10", "kind": "vlan", "parent": "lan1", "id": 10, "master": "br0"})
    s.client = replace(at("lan1"), tags=((0x8100, 10),))
    s.rules = flowtable("lan1", "lan2", "wan0")
    raw(s, "lan2", OTHER_MAC, ALL)
    traffic(s)
    s.lan(IP(src=CLIENT, dst=OTHER, id=0x4242) / UDP(sport=1, dport=2) / b"x", dst=OTHER_MAC)


@scenario
def vlan_device_on_the_bridge(s: Scenario) -> None:
    """A VLAN device on a bridge that does not look at VLANs."""
    s.box = bridged()
    addresses = s.box["devices"][0].pop("addresses")
    s.box["devices"].append(
        {"name": "br0.20", "kind": "vlan", "parent": "br0", "id": 20, "addresses": addresses}
    )
    for neighbour in s.box["neighbours"]:
        if neighbour["dev"] == "br0":
            neighbour["dev"] = "br0.20"
    s.client = replace(at("lan1"), tags=((0x8100, 20),))
    s.rules = flowtable("lan1", "lan2", "wan0")
    traffic(s)


@scenario
def chains_of_port_and_bridge(s: Scenario) -> None:
    """Ingress and egress chains run on ports and on the bridge."""
    s.box, s.client = bridged(), at("lan1")
    chains = "".join(
        f"chain {device}_{hook} {{ type filter hook {hook} device {device} priority 0; counter; }}\n"
        for device in ("lan1", "lan2", "br0")
        for hook in ("ingress", "egress")
    )
    s.rules = f"table netdev n {{\n{chains}}}\n" + flowtable("lan1", "lan2", "wan0")
    raw(s, "lan2", OTHER_MAC, ALL)
    traffic(s)
    raw(s, "lan1", CLIENT_MAC, OTHER_MAC)
