"""The life of a flow: its timeouts, what ends it, what is stale, and what connection tracking keeps."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import GRE

from scenarios.author import (
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    SERVER,
    SERVER6,
    SERVER_MAC,
    WAN,
    Box,
    Scenario,
    Tcp,
    Udp,
    changed,
    flowtable,
    router,
    scenario,
)
from scenarios.topics.flow.vectors import MASQUERADE

OTHER, OTHER_MAC = "10.0.2.77", "02:00:00:00:02:77"


def short(**more: int) -> Box:
    """A router whose flows are idle after four seconds."""
    return router(
        net__netfilter__nf_flowtable_tcp_timeout=4, net__netfilter__nf_flowtable_udp_timeout=4, **more
    )


def offloaded(s: Scenario) -> tuple[Udp, Tcp]:
    """A UDP and a TCP flow."""
    udp, tcp = Udp(s), Tcp(s)
    udp.talk(2)
    tcp.open()
    tcp.talk(1)
    return udp, tcp


@scenario
def kept_alive(s: Scenario) -> None:
    """Packets keep a flow alive."""
    s.box, s.rules = short(), flowtable()
    udp, tcp = offloaded(s)
    for _ in range(4):
        s.wait(2.4)
        udp.out()
        tcp.back("A")


@scenario
def comes_back(s: Scenario) -> None:
    """A flow that was idle is added again by the next packets."""
    s.box, s.rules = short(), flowtable()
    udp, tcp = offloaded(s)
    s.wait(7)
    udp.talk(2)
    tcp.talk(2)


@scenario
def idle_time_of_each_protocol(s: Scenario) -> None:
    """TCP and UDP have an idle time of their own."""
    s.box = router(net__netfilter__nf_flowtable_tcp_timeout=2, net__netfilter__nf_flowtable_udp_timeout=30)
    s.rules = flowtable()
    offloaded(s)
    s.end(4.5)


@scenario
def idle_time_changes(s: Scenario) -> None:
    """A new idle time holds from the next refresh on."""
    s.rules = flowtable()
    udp, _ = offloaded(s)
    s.event(sysctl={"net.netfilter.nf_flowtable_udp_timeout": 2})
    s.end(4.5)
    udp.out()


@scenario
def idle_after_fin_times(s: Scenario) -> None:
    """What is left of connections whose flows were idle, by state and protocol."""
    s.box, s.rules = short(net__netfilter__nf_conntrack_tcp_timeout_established=100), flowtable()
    offloaded(s)
    Udp(s, sport=5001).out()
    Udp(s, sport=5001).out()
    s.end(7)


@scenario
def connection_times_while_offloaded(s: Scenario) -> None:
    """Short timeouts of connection tracking do not end an offloaded connection."""
    s.box = router(
        net__netfilter__nf_conntrack_tcp_timeout_established=3,
        net__netfilter__nf_conntrack_udp_timeout=3,
        net__netfilter__nf_conntrack_udp_timeout_stream=3,
    )
    s.rules = flowtable()
    udp, tcp = offloaded(s)
    for _ in range(3):
        s.wait(2)
        udp.out()
        tcp.out("A")


@scenario
def gre_idle(s: Scenario) -> None:
    """GRE in a flowtable: what is left of its connection."""
    s.rules = flowtable()
    for _ in range(3):
        s.lan(IP(src=CLIENT, dst=SERVER, id=0x4242) / GRE(proto=0x0800) / b"data")
        s.wan(IP(src=SERVER, dst=CLIENT, id=0x4242) / GRE(proto=0x0800) / b"data")
    s.end(2.5)


@scenario
def reset_and_time(s: Scenario) -> None:
    """What is left of a connection after a reset and after a FIN."""
    s.rules = flowtable()
    for sport, flags in ((40001, "RA"), (40002, "FA")):
        tcp = Tcp(s, sport=sport)
        tcp.open()
        tcp.talk(1)
        tcp.out(flags)
    s.end(2.5)


@scenario
def client_device_down(s: Scenario) -> None:
    """The device of the client goes down and comes up: its flows are gone."""
    s.rules = flowtable()
    udp, tcp = offloaded(s)
    s.event(link={"dev": "lan0", "up": False})
    s.wait(1.5)
    udp.back()
    s.event(link={"dev": "lan0", "up": True})
    s.event(neighbour={"address": CLIENT, "dev": "lan0", "mac": CLIENT_MAC})
    s.wait(0.3)
    udp.talk(2)
    tcp.talk(1)


@scenario
def server_device_down(s: Scenario) -> None:
    """The device of the server goes down: its flows are gone."""
    s.rules = flowtable()
    udp, _ = offloaded(s)
    s.event(link={"dev": "wan0", "up": False})
    s.wait(1.5)
    udp.out()


@scenario
def other_device_down(s: Scenario) -> None:
    """A device that no flow uses goes down."""
    s.box = changed(router(), devices=[{"name": "dmz0", "mac": "02:00:00:00:03:01"}])
    s.rules = flowtable("lan0", "wan0", "dmz0")
    udp, tcp = offloaded(s)
    s.event(link={"dev": "dmz0", "up": False})
    s.wait(0.3)
    udp.talk(1)
    tcp.talk(1)


@scenario
def neighbour_changes(s: Scenario) -> None:
    """The server's MAC address changes: flows follow."""
    s.rules = flowtable()
    udp, tcp = offloaded(s)
    s.event(neighbour={"address": SERVER, "dev": "wan0", "mac": OTHER_MAC})
    udp.out()
    tcp.out("A")
    udp.out()


@scenario
def neighbour_goes(s: Scenario) -> None:
    """The server's neighbour entry goes: the next packet asks for it."""
    s.rules = flowtable()
    udp, _ = offloaded(s)
    s.event(neighbour={"address": SERVER, "dev": "wan0", "delete": True})
    s.wait(0.2)
    udp.out()
    s.end(1.0)


@scenario
def gateway_changes(s: Scenario) -> None:
    """The default route moves to another gateway."""
    neighbours = [{"address": OTHER, "dev": "wan0", "mac": OTHER_MAC}]
    s.box = changed(router(), routes=[{"to": "default", "via": SERVER}], neighbours=neighbours)
    s.rules = flowtable()
    udp = Udp(s, dst="192.0.2.1")
    udp.talk(2)
    s.event(route={"to": "default", "via": SERVER, "delete": True})
    s.event(route={"to": "default", "via": OTHER})
    udp.talk(3)


@scenario
def better_route_comes(s: Scenario) -> None:
    """A more specific route comes, by another gateway; then an unrelated one."""
    neighbours = [{"address": OTHER, "dev": "wan0", "mac": OTHER_MAC}]
    s.box = changed(router(), routes=[{"to": "default", "via": SERVER}], neighbours=neighbours)
    s.rules = flowtable()
    udp = Udp(s, dst="192.0.2.1")
    udp.talk(2)
    s.event(route={"to": "192.0.2.0/24", "via": OTHER})
    udp.talk(2)
    s.event(route={"to": "203.0.113.0/24", "via": OTHER})
    udp.talk(2)


@scenario
def route_goes(s: Scenario) -> None:
    """The only route goes: the next packet is answered."""
    s.box = changed(router(), routes=[{"to": "default", "via": SERVER}])
    s.rules = flowtable()
    udp = Udp(s, dst="192.0.2.1")
    udp.talk(2)
    s.event(route={"to": "default", "via": SERVER, "delete": True})
    udp.out()
    udp.back()


@scenario
def route_to_another_device(s: Scenario) -> None:
    """The route moves to a third device, which is listed as well."""
    s.box = changed(
        router(),
        devices=[{"name": "dsl0", "mac": "02:00:00:00:03:01", "addresses": ["10.0.3.1/24"]}],
        routes=[{"to": "default", "via": SERVER}],
        neighbours=[{"address": "10.0.3.99", "dev": "dsl0", "mac": "02:00:00:00:03:99"}],
    )
    s.rules = flowtable("lan0", "wan0", "dsl0")
    udp = Udp(s, dst="192.0.2.1")
    udp.talk(2)
    s.event(route={"to": "default", "via": SERVER, "delete": True})
    s.event(route={"to": "default", "via": "10.0.3.99"})
    udp.talk(1)
    answer = IP(src="192.0.2.1", dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"by the new way"
    s.wan(answer, device="dsl0", src="02:00:00:00:03:99", dst="02:00:00:00:03:01")
    udp.talk(1)


@scenario
def routes6_change(s: Scenario) -> None:
    """IPv6: an unrelated route comes, a better one comes and goes."""
    other = "2001:db8:2::77"
    s.box = changed(
        router(),
        routes=[{"to": "::/0", "via": SERVER6}],
        neighbours=[{"address": other, "dev": "wan0", "mac": OTHER_MAC}],
    )
    s.rules = flowtable()
    udp = Udp(s, src=CLIENT6, dst="2001:db8:99::1")
    udp.talk(2)
    s.event(route={"to": "2001:db8:77::/48", "via": other})
    udp.talk(1)
    s.event(route={"to": "2001:db8:99::/48", "via": other})
    udp.talk(2)
    s.event(route={"to": "2001:db8:99::/48", "via": other, "delete": True})
    udp.talk(2)


def _addresses(s: Scenario, address: str) -> None:
    """An address comes to a device of a flow of each family, and goes."""
    counters = "meta nfproto ipv4 counter\n        meta nfproto ipv6 counter"
    s.rules = flowtable(before=counters)
    udp, six = Udp(s), Udp(s, src=CLIENT6, dst=SERVER6)
    udp.talk(2)
    six.talk(2)
    for gone in ({}, {"delete": True}):
        s.event(address={"dev": "wan0", "address": address, **gone})
        udp.talk(2)
        six.talk(2)


@scenario
def address_comes_and_goes(s: Scenario) -> None:
    """An IPv4 address is added to and removed from a device of two flows."""
    _addresses(s, "10.0.9.1/24")


@scenario
def address6_comes_and_goes(s: Scenario) -> None:
    """An IPv6 address is added to and removed from a device of two flows."""
    _addresses(s, "2001:db8:9::1/64")


@scenario
def address6_goes(s: Scenario) -> None:
    """An IPv6 address goes that was there from the start."""
    s.box["devices"][1]["addresses"].append("2001:db8:9::1/64")
    s.rules = flowtable()
    six = Udp(s, src=CLIENT6, dst=SERVER6)
    six.talk(2)
    s.event(address={"dev": "wan0", "address": "2001:db8:9::1/64", "delete": True})
    six.talk(2)


@scenario
def mac_of_the_device_changes(s: Scenario) -> None:
    """The box's own MAC address changes."""
    s.rules = flowtable()
    udp, _ = offloaded(s)
    s.event(link={"dev": "wan0", "mac": "02:00:00:00:02:0a"})
    s.event(neighbour={"address": SERVER, "dev": "wan0", "mac": SERVER_MAC})
    s.wait(0.3)
    udp.out()
    udp.out()


@scenario
def rule_deleted(s: Scenario) -> None:
    """The rule that added the flow goes: the flow stays."""
    s.rules = flowtable()
    udp, tcp = offloaded(s)
    s.event(ruleset="flush chain inet x forward")
    udp.talk(1)
    tcp.talk(1)
    Udp(s, sport=5001).talk(2)


@scenario
def table_deleted(s: Scenario) -> None:
    """The flowtable goes with its table: back to the classic path."""
    s.rules = (
        flowtable()
        + """
table inet keep {
    chain forward {
        type filter hook forward priority 1; policy accept;
        ct state new counter
        counter
    }
}
"""
    )
    udp, tcp = offloaded(s)
    s.event(ruleset="delete table inet x")
    s.wait(2.5)
    udp.talk(1)
    tcp.talk(1)


@scenario
def flowtable_made_anew(s: Scenario) -> None:
    """The whole table is loaded anew, as every restart of a firewall does."""
    s.rules = flowtable()
    udp, tcp = offloaded(s)
    s.event(ruleset="delete table inet x" + flowtable())
    udp.talk(2)
    tcp.talk(1)


@scenario
def device_leaves_the_flowtable(s: Scenario) -> None:
    """A device is taken out of the flowtable: its packets do not look it up any more."""
    s.rules = flowtable()
    udp, _ = offloaded(s)
    s.event(ruleset="delete flowtable inet x f { hook ingress priority filter; devices = { wan0 }; }")
    udp.talk(2)


@scenario
def device_joins_the_flowtable(s: Scenario) -> None:
    """A device is added to the flowtable."""
    s.rules = flowtable("lan0")
    udp, _ = offloaded(s)
    s.event(ruleset="add flowtable inet x f { hook ingress priority filter; devices = { wan0 }; }")
    udp.talk(2)


@scenario
def connections_flushed(s: Scenario) -> None:
    """`conntrack -F` forgets offloaded connections as well: they begin anew."""
    s.rules = flowtable(more=MASQUERADE)
    udp = Udp(s, seen_src=WAN)
    udp.talk(2)
    s.event(conntrack="flush")
    udp.talk(3)


@scenario
def too_big_and_the_connection(s: Scenario) -> None:
    """Classic packets of an offloaded connection set its timeout, the fast path does not."""
    s.box = router(wan_mtu=1400, net__netfilter__nf_conntrack_udp_timeout_stream=20)
    s.rules = flowtable()
    udp = Udp(s)
    udp.talk(2)
    udp.out(b"x" * 1400)
    s.end(2.5)


@scenario
def counter_switched_on(s: Scenario) -> None:
    """The counter flag comes while flows live."""
    s.box = router(net__netfilter__nf_conntrack_acct=1)
    s.rules = flowtable()
    udp, _ = offloaded(s)
    s.event(
        ruleset="add flowtable inet x f { hook ingress priority filter; devices = { lan0, wan0 }; counter; }"
    )
    udp.talk(2)


@scenario
def forwarding_off(s: Scenario) -> None:
    """Forwarding is switched off: the flow notices at its next packet."""
    s.rules = flowtable()
    udp, _ = offloaded(s)
    s.event(sysctl={"net.ipv4.ip_forward": 0})
    udp.talk(1)
    Udp(s, sport=5001).out()


@scenario
def second_uplink(s: Scenario) -> None:
    """Answers come by another device than requests went: only one way is fast."""
    s.box = changed(
        router(),
        devices=[{"name": "dsl0", "mac": "02:00:00:00:03:01", "addresses": ["10.0.3.1/24"]}],
        neighbours=[{"address": "10.0.3.99", "dev": "dsl0", "mac": "02:00:00:00:03:99"}],
    )
    s.rules = flowtable("lan0", "wan0", "dsl0")
    udp = Udp(s)
    answer = IP(src=SERVER, dst=CLIENT, id=0x4242) / UDP(sport=53, dport=5000) / b"by another way"
    for _ in range(3):
        udp.out()
        s.wan(answer, device="dsl0", src="02:00:00:00:03:99", dst="02:00:00:00:03:01")
