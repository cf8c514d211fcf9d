"""Other devices that stand on devices: macvlan, bonds, tunnels."""

from __future__ import annotations

from dataclasses import replace

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.packet import Packet, Raw

from scenarios.author import (
    CLIENT,
    CLIENT6,
    SERVER,
    SERVER6,
    Box,
    Scenario,
    Udp,
    changed,
    flowtable,
    router,
    scenario,
    traffic,
)

MACVLAN = "02:00:00:00:01:0b"
REMOTE = "10.9.9.2"


def on(name: str, **device: object) -> Box:
    """The router whose lan0 stands behind another device."""
    box = router()
    addresses = box["devices"][0].pop("addresses")
    box["devices"].append({"name": name, **device, "addresses": addresses})
    for neighbour in box["neighbours"]:
        if neighbour["dev"] == "lan0":
            neighbour["dev"] = name
    return box


@scenario
def macvlan(s: Scenario) -> None:
    """A macvlan device is routed; the flowtable lists it."""
    s.box = on("mac0", kind="macvlan", parent="lan0", mac=MACVLAN, mode="bridge")
    s.client = replace(s.client, dst=MACVLAN)
    s.rules = flowtable("mac0", "wan0")
    traffic(s)


@scenario
def macvlan_parent_listed(s: Scenario) -> None:
    """The flowtable lists the device below the macvlan device."""
    s.box = on("mac0", kind="macvlan", parent="lan0", mac=MACVLAN, mode="bridge")
    s.client = replace(s.client, dst=MACVLAN)
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def macvlan_frames(s: Scenario) -> None:
    """Which frames a macvlan device gets."""
    s.box = on("mac0", kind="macvlan", parent="lan0", mac=MACVLAN, mode="bridge")
    for dst in (MACVLAN, "02:00:00:00:01:01", "02:00:00:00:01:77", "ff:ff:ff:ff:ff:ff"):
        s.lan(IP(src=CLIENT, dst="10.0.1.1", id=0x4242) / UDP(sport=1, dport=2) / b"x", dst=dst)


def bonded(mode: str, **keys: object) -> Box:
    """The router with a bond of two slaves in the place of lan0."""
    box = router()
    lan = box["devices"].pop(0)
    bond = {"name": "bond0", "kind": "bond", "mac": lan["mac"], "mode": mode, **keys}
    slaves = [
        {"name": f"lan{number}", "mac": f"02:00:00:00:01:1{number}", "master": "bond0"} for number in (1, 2)
    ]
    box["devices"] = [{**bond, "addresses": lan["addresses"]}, *slaves, *box["devices"]]
    for neighbour in box["neighbours"]:
        if neighbour["dev"] == "lan0":
            neighbour["dev"] = "bond0"
    return box


@scenario
def active_backup(s: Scenario) -> None:
    """A bond sends on its active slave and takes nothing from the other."""
    s.box = bonded("active-backup", active="lan1")
    s.client = replace(s.client, device="lan1")
    s.rules = flowtable("bond0", "wan0")
    traffic(s)
    s.client = replace(s.client, device="lan2")
    Udp(s).talk(1)


@scenario
def active_backup_slaves_listed(s: Scenario) -> None:
    """The slaves are listed instead of the bond."""
    s.box = bonded("active-backup", active="lan1")
    s.client = replace(s.client, device="lan1")
    s.rules = flowtable("lan1", "lan2", "wan0")
    traffic(s)


@scenario
def balance_xor(s: Scenario) -> None:
    """A bond that chooses its slave by a hash of MAC addresses."""
    s.box = bonded("balance-xor", xmit_hash_policy="layer2")
    s.client = replace(s.client, device="lan1")
    traffic(s)
    for last in ("98", "97"):
        s.box["neighbours"].append(
            {"address": f"10.0.1.{last}", "dev": "bond0", "mac": f"02:00:00:00:01:{last}"}
        )
        s.wan(IP(src=SERVER, dst=f"10.0.1.{last}", id=0x4242) / UDP(sport=53, dport=5000) / b"x")


def _outer(s: Scenario, packet: Packet, **fields: object) -> None:
    s.wan(IP(src=SERVER, dst="10.0.2.1", id=0x4242, **fields) / packet)


def tunnelled(**keys: object) -> Box:
    """The router with an IPIP tunnel to the server's router."""
    tunnel: Box = {"name": "tun0", "kind": "ipip", "local": "10.0.2.1", "remote": SERVER, "mtu": 1480, **keys}
    tunnel["addresses"] = ["10.9.9.1/24"]
    return changed(router(), devices=[tunnel])


@scenario
def ipip(s: Scenario) -> None:
    """Into an IPIP tunnel and out of it."""
    s.box = tunnelled(ttl=64)
    for _ in range(3):
        Udp(s, dst=REMOTE).out()
        _outer(s, IP(src=REMOTE, dst=CLIENT, id=0x4242, ttl=9) / UDP(sport=53, dport=5000) / b"answer")


@scenario
def ipip_flow(s: Scenario) -> None:
    """A flowtable on the device below an IPIP tunnel."""
    s.box = tunnelled(ttl=64)
    s.rules = flowtable("lan0", "wan0")
    for _ in range(3):
        Udp(s, dst=REMOTE).out()
        _outer(s, IP(src=REMOTE, dst=CLIENT, id=0x4242, ttl=9) / UDP(sport=53, dport=5000) / b"answer")


@scenario
def ipip_tunnel_listed(s: Scenario) -> None:
    """A flowtable on the tunnel itself."""
    s.box = tunnelled(ttl=64)
    s.rules = flowtable("lan0", "tun0")
    for _ in range(3):
        Udp(s, dst=REMOTE).out()
        _outer(s, IP(src=REMOTE, dst=CLIENT, id=0x4242, ttl=9) / UDP(sport=53, dport=5000) / b"answer")


@scenario
def ipip_inherits(s: Scenario) -> None:
    """TTL, DSCP, ECN and DF of the outer header; what is too big."""
    s.box = tunnelled()
    Udp(s, dst=REMOTE).out(ttl=33)
    Udp(s, dst=REMOTE).out(tos=0xB9)
    Udp(s, dst=REMOTE).out(flags="DF")
    Udp(s, dst=REMOTE).out(b"x" * 1453, flags="DF")
    Udp(s, dst=REMOTE).out(b"x" * 1453)


def _six(s: Scenario) -> None:
    inner = IPv6(src="2001:db8:9::2", dst=CLIENT6, hlim=9) / UDP(sport=53, dport=5000) / b"answer"
    for _ in range(3):
        Udp(s, src=CLIENT6, dst="2001:db8:9::2").out()
        s.wan(IPv6(src=SERVER6, dst="2001:db8:2::1", nh=41) / Raw(bytes(inner)))
    option = IPv6ExtHdrDestOpt(nh=41, options=[])
    s.wan(IPv6(src=SERVER6, dst="2001:db8:2::1") / option / Raw(bytes(inner)))


def tunnelled6(**keys: object) -> Box:
    """The router with an IPv6 tunnel."""
    tunnel: Box = {"name": "tun0", "kind": "ip6ip6", "local": "2001:db8:2::1", "remote": SERVER6, **keys}
    tunnel["addresses"] = ["2001:db8:9::1/64"]
    return changed(router(), devices=[tunnel])


@scenario
def ip6ip6(s: Scenario) -> None:
    """Into an IPv6 tunnel with the encapsulation limit that it has without a word, and out of it."""
    s.box = tunnelled6(ttl=64)
    s.rules = flowtable("lan0", "wan0")
    _six(s)


@scenario
def ip6ip6_without_limit(s: Scenario) -> None:
    """The tunnel without an encapsulation limit."""
    s.box = tunnelled6(ttl=64, encaplimit="none")
    s.rules = flowtable("lan0", "tun0")
    _six(s)
