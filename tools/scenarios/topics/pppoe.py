"""PPPoE sessions towards the server, and the fast path below them."""

from __future__ import annotations

from dataclasses import replace

from scapy.layers.inet import IP, UDP

from scenarios.author import (
    CLIENT,
    SERVER,
    SERVER_MAC,
    WAN,
    WAN_SIDE,
    Box,
    Scenario,
    Tcp,
    Udp,
    changed,
    flowtable,
    router,
    scenario,
    traffic,
)

MASQUERADE = "chain nat { type nat hook postrouting priority srcnat; oifname ppp0 masquerade; }"
CLAMP = "tcp flags syn tcp option maxseg size set rt mtu"
SESSION = 0x11


def dialled(*below: Box, parent: str = "wan0", **keys: int) -> Box:
    """The router whose server is behind a PPPoE session on ``parent``."""
    ppp = {"name": "ppp0", "kind": "pppoe", "parent": parent, "session": SESSION, "peer": SERVER_MAC, **keys}
    ppp["addresses"] = [
        {"address": WAN, "peer": f"{SERVER}/32"},
        {"address": "2001:db8:2::1", "peer": "2001:db8:2::99/128"},
    ]
    box = changed(router(), devices=[*below, ppp])
    del box["devices"][1]["addresses"]
    box["neighbours"] = [each for each in box["neighbours"] if each["dev"] == "lan0"]
    return box


PPP_SIDE = replace(WAN_SIDE, session=SESSION)
VLAN7 = {"name": "wan0.7", "kind": "vlan", "parent": "wan0", "id": 7}


@scenario
def classic(s: Scenario) -> None:
    """Forwarding through a session without a flowtable."""
    s.box, s.server = dialled(), PPP_SIDE
    traffic(s)


@scenario
def flow(s: Scenario) -> None:
    """The fast path is on the device below the session."""
    s.box, s.server = dialled(), PPP_SIDE
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def flow_on_the_session(s: Scenario) -> None:
    """The PPP device itself is listed."""
    s.box, s.server = dialled(), PPP_SIDE
    s.rules = flowtable("lan0", "ppp0")
    traffic(s)


@scenario
def masqueraded(s: Scenario) -> None:
    """Translation on the fast path of a session, as on every DSL line."""
    s.box, s.server = dialled(), PPP_SIDE
    s.rules = flowtable("lan0", "wan0", before=CLAMP, more=MASQUERADE)
    Udp(s, seen_src=WAN).talk(3)
    connection = Tcp(s, seen_src=WAN)
    connection.out("S", options=[("MSS", 1460)])
    connection.back("SA", options=[("MSS", 1460)])
    connection.out("A")
    connection.talk(2)


@scenario
def session_on_a_vlan(s: Scenario) -> None:
    """A session over VLAN 7."""
    s.box, s.server = dialled(VLAN7, parent="wan0.7"), replace(PPP_SIDE, tags=((0x8100, 7),))
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def session_on_a_vlan_classic(s: Scenario) -> None:
    """A session over VLAN 7 without a flowtable."""
    s.box, s.server = dialled(VLAN7, parent="wan0.7"), replace(PPP_SIDE, tags=((0x8100, 7),))
    traffic(s)


@scenario
def session_on_qinq(s: Scenario) -> None:
    """A session below two tags is one more than the fast path can hold."""
    outer = {"name": "wan0.100", "kind": "vlan", "parent": "wan0", "id": 100, "protocol": "802.1ad"}
    inner = {"name": "wan0.100.7", "kind": "vlan", "parent": "wan0.100", "id": 7}
    s.box = dialled(outer, inner, parent="wan0.100.7")
    s.server = replace(PPP_SIDE, tags=((0x88A8, 100), (0x8100, 7)))
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def vlan_on_the_other_side(s: Scenario) -> None:
    """From a VLAN into a session."""
    lan = {
        "name": "lan0.10",
        "kind": "vlan",
        "parent": "lan0",
        "id": 10,
        "addresses": ["10.0.1.1/24", "2001:db8:1::1/64"],
    }
    s.box = dialled(lan)
    del s.box["devices"][0]["addresses"]
    for neighbour in s.box["neighbours"]:
        neighbour["dev"] = "lan0.10"
    s.client, s.server = replace(s.client, tags=((0x8100, 10),)), PPP_SIDE
    s.rules = flowtable("lan0", "wan0")
    traffic(s)


@scenario
def other_sessions(s: Scenario) -> None:
    """Frames of another session, of another concentrator, to another station, without a session."""
    s.box, s.server = dialled(), PPP_SIDE
    for changes in (
        {},
        {"session": SESSION + 1},
        {"src": "02:00:00:00:02:77"},
        {"dst": "02:00:00:00:02:77"},
        {"session": None},
    ):
        s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"x", **changes)


@scenario
def other_protocols(s: Scenario) -> None:
    """LCP and IPCP are for pppd; a frame with bytes behind the session's length is cut there."""
    s.box, s.server = dialled(), PPP_SIDE
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    head = bytes.fromhex("020000000201 020000000299 8864 1100 0011")
    for protocol in ("c021", "8021", "8057", "00fd"):
        s.frame("wan0", head + bytes.fromhex("000a" + protocol + "0901000800000000"))
    packet = bytes(IP(src=SERVER, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"xy")
    s.frame("wan0", head + (len(packet) + 2).to_bytes(2, "big") + b"\x00\x21" + packet + bytes(10))
    s.frame("wan0", head + (len(packet) + 12).to_bytes(2, "big") + b"\x00\x21" + packet)


@scenario
def too_big(s: Scenario) -> None:
    """The session's MTU is 1492: what is larger is cut or answered, and the flow stays."""
    s.box, s.server = dialled(), PPP_SIDE
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    for size in (1464, 1465):
        Udp(s).out(b"x" * size, flags="DF")
        Udp(s).out(b"x" * size)
    six = Udp(s, src="2001:db8:1::99", dst="2001:db8:2::99")
    six.talk(2)
    six.out(b"x" * 1444)
    six.out(b"x" * 1445)


@scenario
def smaller_mtu(s: Scenario) -> None:
    """A session with an MTU of 1480."""
    s.box, s.server = dialled(mtu=1480), PPP_SIDE
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    Udp(s).out(b"x" * 1453)
    Udp(s).out(b"x" * 1453, flags="DF")


@scenario
def errors(s: Scenario) -> None:
    """ICMP errors into the session."""
    s.box, s.server = dialled(), PPP_SIDE
    Udp(s).back(ttl=1)
    s.wan(IP(src=SERVER, dst=WAN, id=0x4242) / UDP(sport=53, dport=9) / b"x")
    s.wan(IP(src=SERVER, dst="192.0.2.9", id=0x4242) / UDP(sport=53, dport=9) / b"x")


@scenario
def redialled(s: Scenario) -> None:
    """The session is replaced by another one: flows of the old one, and new ones."""
    s.box, s.server = dialled(), PPP_SIDE
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    s.event(link={"dev": "ppp0", "delete": True})
    s.wait(0.3)
    ppp = {**s.box["devices"][-1], "session": SESSION + 1}
    s.event(device=ppp)
    s.wait(0.3)
    Udp(s).out()
    s.server = replace(PPP_SIDE, session=SESSION + 1)
    Udp(s).back()
    Udp(s).talk(2)


@scenario
def session_goes_down(s: Scenario) -> None:
    """The PPP device goes down, not the device below it."""
    s.box, s.server = dialled(), PPP_SIDE
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(2)
    s.event(link={"dev": "ppp0", "up": False})
    Udp(s).talk(2)


@scenario
def large_session_number(s: Scenario) -> None:
    """Session 0xffff is as good as any."""
    s.box = dialled()
    s.box["devices"][-1]["session"] = 0xFFFE
    s.server = replace(PPP_SIDE, session=0xFFFE)
    s.rules = flowtable("lan0", "wan0")
    Udp(s).talk(3)
