"""Frames of all kinds into stacks of devices, drawn from a seed: what takes them, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from scenarios.author import CLIENT, SERVER, SERVER6, Box, Scenario, changed, router, scenario

HOSTS = [f"02:00:00:00:0a:{number:02x}" for number in range(1, 5)]
BR = "02:00:00:00:01:01"
BROADCAST, GROUP = "ff:ff:ff:ff:ff:ff", "01:00:5e:01:02:03"
SMALL = "lan4"
"""The port with an MTU of 1400."""
SPOKEN = 0x88B5
"""An ethertype for experiments: nobody answers."""


def quiet(devices: list[Box], **sections: object) -> Box:
    """A box without IPv6 chatter and redirects, which has a neighbour for each address that is asked."""
    return changed(
        {
            "devices": devices,
            "routes": [],
            "neighbours": [],
            "sysctls": {
                "net.ipv4.ip_forward": 1,
                "net.ipv6.conf.all.forwarding": 1,
                "net.ipv4.conf.all.send_redirects": 0,
            },
        },
        **sections,
    )


def ports(*more: Box) -> list[Box]:
    """Four ports of a bridge; the MTU of the last is smaller."""
    made: list[Box] = [
        {"name": f"lan{number}", "mac": f"02:00:00:00:01:1{number}", "master": "br0", **extra}
        for number, extra in enumerate(more or ({}, {}, {}, {}), 1)
    ]
    made[-1]["mtu"] = 1400
    return made


def tags(random: Random, vids: Sequence[int]) -> Packet | None:
    """No tag, one or two."""
    kinds = [None, Dot1Q, Dot1Q, Dot1AD]
    kind = random.choice(kinds)
    if kind is None:
        return None
    tag = kind(vlan=random.choice(vids), prio=random.randrange(8))
    if random.random() < 0.2:
        tag /= random.choice([Dot1Q, Dot1AD])(vlan=random.choice(vids))
    return tag


def frame(src: str, dst: str, tag: Packet | None, payload: Packet | int) -> Packet:
    """A frame, tagged perhaps."""
    head = Ether(src=src, dst=dst)
    if tag is not None:
        head /= tag
    if isinstance(payload, int):
        head.lastlayer().type = SPOKEN
        return head / Raw(bytes(payload))
    return head / payload


def bridged(s: Scenario, seed: int, vids: Sequence[int], addresses: dict[int, str]) -> None:
    """Frames between the hosts of a bridge and to the box, which has an address in some VLANs."""
    random = Random(seed)
    own = [BR, *(f"02:00:00:00:01:1{number}" for number in range(1, 5))]
    for _ in range(120):
        device = f"lan{random.randrange(1, 5)}"
        src = random.choice([*HOSTS, *HOSTS, *HOSTS, own[random.randrange(5)], "00:00:00:00:00:00", GROUP])
        dst = random.choice([*HOSTS, *HOSTS, BR, BR, random.choice(own), BROADCAST, GROUP])
        if random.random() < 0.05:
            dst = f"01:80:c2:00:00:{random.randrange(18):02x}"
        tag = tags(random, vids)
        vid = tag.vlan if tag is not None else 0
        own_address = addresses.get(vid, addresses[0])
        subnet = own_address.rpartition(".")[0]
        kind = random.randrange(4)
        payload: Packet | int = 46 if device == SMALL else random.choice([20, 46, 1400, 1404, 1405, 1496])
        if kind == 1 and src in HOSTS:
            payload = ARP(op=1, hwsrc=src, psrc=f"{subnet}.{50 + HOSTS.index(src)}", pdst=own_address)
        elif kind == 2 and src in HOSTS and dst in own:
            payload = IP(src=f"{subnet}.{50 + HOSTS.index(src)}", dst=own_address, id=0x4242) / ICMP(id=1)
        s.frame(device, frame(src, dst, tag, payload))


def hosts(device: str, subnet: str) -> list[Box]:
    """Neighbours for all hosts."""
    return [
        {"address": f"{subnet}.{50 + number}", "dev": device, "mac": mac} for number, mac in enumerate(HOSTS)
    ]


@scenario
def bridge(s: Scenario) -> None:
    """A bridge of four ports, and a VLAN device on it."""
    s.box = quiet(
        [
            {"name": "br0", "kind": "bridge", "mac": BR, "addresses": ["10.1.0.1/24"]},
            *ports(),
            {"name": "br0.10", "kind": "vlan", "parent": "br0", "id": 10, "addresses": ["10.1.10.1/24"]},
        ],
        neighbours=[*hosts("br0", "10.1.0"), *hosts("br0.10", "10.1.10")],
    )
    bridged(s, 1, [0, 10, 20], {0: "10.1.0.1", 10: "10.1.10.1"})


@scenario
def bridge_vlans(s: Scenario) -> None:
    """A bridge that filters VLANs: access ports, a trunk, a hybrid port; the box is in two VLANs."""
    untagged = {"pvid": True, "untagged": True}
    s.box = quiet(
        [
            {
                "name": "br0",
                "kind": "bridge",
                "mac": BR,
                "vlan_filtering": True,
                "addresses": ["10.1.0.1/24"],
                "vlans": [{"id": 1, **untagged}, {"id": 10}],
            },
            *ports(
                {"vlans": [{"id": 10, **untagged}]},
                {"vlans": [{"id": 10}, {"id": 20}]},
                {"vlans": [{"id": 20, **untagged}, {"id": 10}]},
                {"vlans": [{"id": 1, **untagged}, {"id": 10, "untagged": True}]},
            ),
            {"name": "br0.10", "kind": "vlan", "parent": "br0", "id": 10, "addresses": ["10.1.10.1/24"]},
        ],
        neighbours=[*hosts("br0", "10.1.0"), *hosts("br0.10", "10.1.10")],
    )
    bridged(s, 2, [0, 1, 10, 10, 20], {0: "10.1.0.1", 10: "10.1.10.1"})


@scenario
def bridge_service_vlans(s: Scenario) -> None:
    """A bridge that filters VLANs of 802.1ad."""
    untagged = {"pvid": True, "untagged": True}
    s.box = quiet(
        [
            {
                "name": "br0",
                "kind": "bridge",
                "mac": BR,
                "vlan_filtering": True,
                "vlan_protocol": "802.1ad",
                "addresses": ["10.1.0.1/24"],
            },
            *ports(
                {"vlans": [{"id": 10, **untagged}]},
                {"vlans": [{"id": 10}, {"id": 1}]},
                {},
                {"vlans": [{"id": 1, **untagged}, {"id": 10, "untagged": True}]},
            ),
        ],
        neighbours=hosts("br0", "10.1.0"),
    )
    bridged(s, 3, [0, 1, 10, 10, 20], {0: "10.1.0.1"})


@scenario
def bridge_flags(s: Scenario) -> None:
    """Ports that do not learn or flood, that are isolated, or send back where frames came from."""
    s.box = quiet(
        [
            {"name": "br0", "kind": "bridge", "mac": BR, "addresses": ["10.1.0.1/24"]},
            *ports(
                {"isolated": True, "hairpin": True},
                {"isolated": True, "mcast_flood": False},
                {"learning": False, "bcast_flood": False},
                {"flood": False},
            ),
        ],
        neighbours=hosts("br0", "10.1.0"),
    )
    bridged(s, 4, [0, 10], {0: "10.1.0.1"})


@scenario
def vlans(s: Scenario) -> None:
    """VLAN devices of both protocols, stacked, one of VLAN 0, one with its own MAC address."""
    other = "02:00:00:00:01:02"
    names = {
        "eth0": ("10.1.0.1", {}),
        "eth0.10": ("10.1.10.1", {"parent": "eth0", "id": 10}),
        "svc10": ("10.1.11.1", {"parent": "eth0", "id": 10, "protocol": "802.1ad"}),
        "svc10.20": ("10.1.12.1", {"parent": "svc10", "id": 20}),
        "eth0.10.10": ("10.1.13.1", {"parent": "eth0.10", "id": 10}),
        "own": ("10.1.14.1", {"parent": "eth0", "id": 30, "mac": other}),
        "prio": ("10.1.15.1", {"parent": "svc10", "id": 0}),
    }
    devices = [
        {"name": name, **({"kind": "vlan"} if keys else {"mac": BR}), **keys, "addresses": [f"{address}/24"]}
        for name, (address, keys) in names.items()
    ]
    neighbours = [
        each for name, (address, _) in names.items() for each in hosts(name, address.rpartition(".")[0])
    ]
    s.box = quiet(devices, neighbours=neighbours)
    random = Random(5)
    for _ in range(120):
        tag = tags(random, [0, 10, 10, 20, 30])
        address = random.choice(list(names.values()))[0]
        dst = random.choice([BR, BR, BR, other, HOSTS[0], BROADCAST])
        if dst == BROADCAST:
            payload = ARP(op=1, hwsrc=HOSTS[1], psrc=address.replace(".1", ".51", -1), pdst=address)
            payload.psrc = f"{address.rpartition('.')[0]}.51"
        else:
            payload = IP(src=f"{address.rpartition('.')[0]}.51", dst=address, id=0x4242) / ICMP(id=1)
        s.frame("eth0", frame(HOSTS[1], dst, tag, payload))


def bonded(policy: str) -> Box:
    """A router whose LAN is a bond of three slaves, with a VLAN device on it."""
    bond = {"name": "bond0", "kind": "bond", "mac": BR, "mode": "balance-xor", "xmit_hash_policy": policy}
    devices = [
        {**bond, "addresses": ["10.1.0.1/24", "2001:db8:11::1/64"]},
        *({"name": f"eth{n}", "mac": f"02:00:00:00:01:1{n}", "master": "bond0"} for n in range(3)),
        {"name": "bond0.10", "kind": "vlan", "parent": "bond0", "id": 10, "addresses": ["10.1.10.1/24"]},
        router()["devices"][1],
    ]
    six = [
        {"address": f"2001:db8:11::{50 + number}", "dev": "bond0", "mac": mac}
        for number, mac in enumerate(HOSTS)
    ]
    return quiet(devices, neighbours=[*hosts("bond0", "10.1.0"), *hosts("bond0.10", "10.1.10"), *six])


def through_bond(s: Scenario, seed: int) -> None:
    """Packets of many flows and kinds that leave by the bond."""
    random = Random(seed)
    for _ in range(100):
        host = random.randrange(4)
        subnet = random.choice(["10.1.0", "10.1.0", "10.1.10"])
        flags = "MF" if random.random() < 0.1 else 0
        head = IP(
            src=f"10.0.2.{random.randrange(2, 250)}", dst=f"{subnet}.{50 + host}", id=0x4242, flags=flags
        )
        ports = {"sport": random.randrange(65536), "dport": random.randrange(65536)}
        packet = random.choice(
            [
                head / UDP(**ports) / bytes(16),
                head / TCP(**ports),
                head / ICMP(type=8, id=random.randrange(65536)),
                head / ICMP(type=3, code=1) / IP(src=head.dst, dst=SERVER, id=0x4242) / UDP(**ports) / b"x",
                IP(src=head.src, dst=head.dst, id=0x4242, proto=47) / Raw(bytes(8)),
                IP(src=head.src, dst=head.dst, id=0x4242, proto=50) / Raw(random.randbytes(16)),
                IPv6(src=SERVER6, dst=f"2001:db8:11::{50 + host}") / UDP(**ports),
                IPv6(src=SERVER6, dst=f"2001:db8:11::{50 + host}")
                / ICMPv6EchoRequest(id=random.randrange(65536)),
            ]
        )
        s.wan(packet)


@scenario
def bond_layer2(s: Scenario) -> None:
    """The hash of MAC addresses and ethertype chooses the slave."""
    s.box = bonded("layer2")
    through_bond(s, 6)


@scenario
def bond_layer2_3(s: Scenario) -> None:
    """The hash of MAC and IP addresses chooses the slave."""
    s.box = bonded("layer2+3")
    through_bond(s, 7)


@scenario
def bond_layer3_4(s: Scenario) -> None:
    """The hash of IP addresses and ports chooses the slave."""
    s.box = bonded("layer3+4")
    through_bond(s, 8)


def macvlans(s: Scenario, *modes: str) -> None:
    """Frames to a device with macvlans on it, from the wire and from one of them through the box."""
    macs = [f"02:00:00:00:01:2{number}" for number in range(len(modes))]
    devices: list[Box] = [{"name": "eth0", "mac": BR, "addresses": ["10.1.0.1/24"]}]
    neighbours = hosts("eth0", "10.1.0")
    for number, (mac, mode) in enumerate(zip(macs, modes, strict=True)):
        subnet = f"10.1.{number + 1}"
        keys = {} if mode == "passthru" else {"mac": mac}
        devices.append(
            {
                "name": f"mac{number}",
                "kind": "macvlan",
                "parent": "eth0",
                "mac": BR,
                **keys,
                "mode": mode,
                "addresses": [f"{subnet}.1/24"],
            }
        )
        neighbours += hosts(f"mac{number}", subnet)
    # The kernel hands copies to macvlans when it finds the time: only one device may answer.
    s.box = quiet(devices, neighbours=neighbours, sysctls={"net.ipv4.conf.all.arp_ignore": 1})
    random = Random(len(modes))
    for _ in range(80):
        subnet = f"10.1.{random.randrange(len(modes) + 1)}"
        dst = random.choice([BR, *macs, *macs, HOSTS[3], BROADCAST])
        src = random.choice([HOSTS[0], HOSTS[0], HOSTS[0], macs[0]])
        payload: Packet = IP(src=f"{subnet}.50", dst=f"{subnet}.1", id=0x4242) / ICMP(id=1)
        if dst == BROADCAST:
            payload = ARP(op=1, hwsrc=src, psrc=f"{subnet}.50", pdst=f"{subnet}.1")
        s.frame("eth0", frame(src, dst, None, payload))
        if dst == BROADCAST:
            s.wait(0.1)


@scenario
def macvlan_bridge(s: Scenario) -> None:
    """Macvlans in bridge mode."""
    macvlans(s, "bridge", "bridge")


@scenario
def macvlan_vepa(s: Scenario) -> None:
    """Macvlans in VEPA mode."""
    macvlans(s, "vepa", "vepa", "vepa")


@scenario
def macvlan_private(s: Scenario) -> None:
    """Macvlans that do not speak to each other."""
    macvlans(s, "private", "private")


@scenario
def macvlan_passthru(s: Scenario) -> None:
    """A macvlan that takes all frames of the device below it."""
    macvlans(s, "passthru")


def tunnelled(kind: str, local: str, remote: str, **keys: object) -> Box:
    """The router with a tunnel to the server."""
    tunnel = {"name": "tun0", "kind": kind, "local": local, "remote": remote, "mtu": 1480, "ttl": 0, **keys}
    box = changed(router(), devices=[tunnel])
    to = "10.9.0.0/16" if kind == "ipip" else "2001:db8:9::/48"
    box["routes"] = [{"to": to, "dev": "tun0"}]
    return box


@scenario
def ipip_congestion(s: Scenario) -> None:
    """All ECN fields outside and inside of an IPIP tunnel, both ways."""
    s.box = tunnelled("ipip", "10.0.2.1", SERVER)
    for outer in range(4):
        for inner in range(4):
            packet = IP(src="10.9.0.1", dst=CLIENT, id=0x4242, tos=0xB8 | inner, ttl=9) / UDP() / b"x"
            s.wan(IP(src=SERVER, dst="10.0.2.1", id=0x4242, tos=0x48 | outer) / packet)
    for inner in range(4):
        s.lan(IP(src=CLIENT, dst="10.9.0.1", id=0x4242, tos=0xB8 | inner, ttl=9) / UDP() / b"x")


@scenario
def ipip_sizes(s: Scenario) -> None:
    """Packets of many sizes into an IPIP tunnel."""
    s.box = tunnelled("ipip", "10.0.2.1", SERVER)
    for size in (1450, 1452, 1453, 1472):
        for flags in ("DF", 0):
            s.lan(IP(src=CLIENT, dst="10.9.0.1", id=0x4242, flags=flags) / UDP() / bytes(size))


@scenario
def sit_congestion(s: Scenario) -> None:
    """All ECN fields outside and inside of a sit tunnel, both ways, and packets of many sizes."""
    s.box = tunnelled("sit", "10.0.2.1", SERVER)
    for outer in range(4):
        for inner in range(4):
            packet = IPv6(src="2001:db8:9::1", dst="2001:db8:1::99", tc=0xB8 | inner, hlim=9) / UDP() / b"x"
            s.wan(IP(src=SERVER, dst="10.0.2.1", id=0x4242, tos=outer) / packet)
    for inner in range(4):
        s.lan(IPv6(src="2001:db8:1::99", dst="2001:db8:9::1", tc=0xB8 | inner, hlim=9) / UDP() / b"x")
    for size in (1430, 1432, 1433, 1452):
        s.lan(IPv6(src="2001:db8:1::99", dst="2001:db8:9::1") / UDP() / bytes(size))


@scenario
def ip6ip6_limits(s: Scenario) -> None:
    """Encapsulation limits, ECN fields and sizes of an IPv6 tunnel."""
    s.box = tunnelled("ip6ip6", "2001:db8:2::1", SERVER6, mtu=1460)
    client, far = "2001:db8:1::99", "2001:db8:9::1"
    for limit in (0, 1, 4, 255):
        option = b"\x11\x00\x04\x01" + bytes((limit,)) + b"\x01\x01\x00"
        s.lan(IPv6(src=client, dst=far, nh=60) / Raw(option + bytes(UDP())))
    padded = b"\x11\x01" + b"\x01\x04\x00\x00\x00\x00" + b"\x00\x04\x01\x03\x01\x02\x00\x00"
    s.lan(IPv6(src=client, dst=far, nh=60) / Raw(padded + bytes(UDP())))
    for outer in range(4):
        for inner in range(4):
            packet = IPv6(src=far, dst=client, tc=0xB8 | inner, hlim=9) / UDP() / b"x"
            s.wan(IPv6(src=SERVER6, dst="2001:db8:2::1", tc=outer, nh=41) / Raw(bytes(packet)))
    for inner in range(4):
        s.lan(IPv6(src=client, dst=far, tc=0xB8 | inner, hlim=9) / UDP() / b"x")
    for size in (1400, 1404, 1405, 1412, 1413):
        s.lan(IPv6(src=client, dst=far) / UDP() / bytes(size))
    s.wan(IPv6(src=SERVER6, dst=far) / UDP())


VRF_RULES = """
table inet x {
    chain first {
        type filter hook prerouting priority filter
        iifname "lan0" counter
        iifname "vrf1" counter
    }
    chain forward {
        type filter hook forward priority filter
        iifname "lan0" counter
        iifname "vrf1" counter
        oifname "wan0" counter
        oifname "vrf1" counter
    }
    chain input {
        type filter hook input priority filter
        iifname "lan0" counter
        iifname "vrf1" counter
    }
    chain output {
        type filter hook output priority filter
        oifname "lan0" counter
        oifname "vrf1" counter
    }
    chain last {
        type filter hook postrouting priority filter
        oifname "lan0" counter
        oifname "vrf1" counter
    }
}
"""


@scenario
def vrf(s: Scenario) -> None:
    """Both sides are in a VRF, whose table has the routes; rules see packets on the VRF as well."""
    box = router()
    box["devices"].insert(0, {"name": "vrf1", "kind": "vrf", "table": 10})
    for device in box["devices"][1:]:
        device["master"] = "vrf1"
    box["routes"] = [{"to": "198.51.100.0/24", "via": SERVER, "table": 10}]
    s.box = box
    s.rules = VRF_RULES
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / UDP(sport=5000, dport=53) / b"x")
    s.lan(IP(src=CLIENT, dst="198.51.100.1", id=0x4242) / UDP(sport=5000, dport=53) / b"x")
    s.lan(IP(src=CLIENT, dst="10.0.1.1", id=0x4242) / ICMP(id=1))
    s.lan(IP(src=CLIENT, dst="10.0.2.1", id=0x4242) / ICMP(id=2))
    s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242, ttl=1) / UDP() / b"x")
    s.lan(IP(src=CLIENT, dst="10.0.1.1", id=0x4242) / UDP(dport=9) / b"x")
    s.lan(IP(src=CLIENT, dst="10.0.1.1", id=0x4242) / TCP(dport=9))
    s.lan(IP(src=CLIENT, dst="203.0.113.1", id=0x4242) / UDP() / b"x")
    s.lan(ARP(op=1, hwsrc="02:00:00:00:01:99", psrc=CLIENT, pdst="10.0.1.1"), dst=BROADCAST)
    s.lan(IPv6(src="2001:db8:1::99", dst=SERVER6) / UDP(sport=5000, dport=53) / b"x")
    s.lan(IPv6(src="2001:db8:1::99", dst="2001:db8:1::1") / ICMPv6EchoRequest(id=3))
    s.lan(IPv6(src="2001:db8:1::99", dst="2001:db8:2::1") / ICMPv6EchoRequest(id=4))
    s.lan(IPv6(src="2001:db8:1::99", dst=SERVER6, hlim=1) / UDP() / b"x")
