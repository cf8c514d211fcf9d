"""The acceptance vectors of docs/acceptance.md, each by its number.

Times are seconds; a vector names its kernel where the kernels differ.
"""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Dot1Q, Ether

from flowtable.flows.hardware import OffloadFailure
from flowtable.flows.refusal import Refusal
from flowtable.flows.teardown import Teardown
from flowtable.packet.drop import Drop
from flowtable.packet.miss import Miss
from flowtable.packet.packet import IPV4
from flowtable.ruleset import RulesetError, parse
from flowtable.topology.boxfile import BoxError
from flowtable.topology.route import Route
from tests.lab import (
    BOX,
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    FORWARD,
    LAN_MAC,
    SERVER,
    SERVER6,
    Lab,
    Tcp,
    udp,
    udp_reply,
)

MASQUERADE = (
    FORWARD
    + """
table ip nat {
    chain post {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan0" masquerade
    }
}
"""
)

DNAT_AND_SNAT = (
    FORWARD
    + """
table ip nat {
    chain pre {
        type nat hook prerouting priority dstnat; policy accept;
        iifname "lan0" tcp dport 1666 dnat to 10.0.2.99:12345
        iifname "lan0" udp dport 1666 dnat to 10.0.2.99:12345
    }
    chain post {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan0" masquerade
    }
}
"""
)


def accounting(box: str = BOX) -> str:
    return box + "  net.netfilter.nf_conntrack_acct: 1\n"


def only(lines: list[str]) -> str:
    assert len(lines) == 1, lines
    return lines[0]


def test_vector_1_udp_offloaded_without_a_reply():
    lab = Lab(profile="linux-6.12")
    lab.client(udp())
    assert lab.statistics.offloaded == 0
    lab.client(udp())
    assert lab.statistics.offloaded == 1
    line = only(lab.connections())
    assert "[UNREPLIED]" in line and "[OFFLOAD]" in line
    assert line.startswith("udp      17 src=")
    lab.server(udp_reply())
    assert lab.statistics.bypass == 1
    assert "[UNREPLIED]" in only(lab.connections())
    lab.wait(32)
    assert lab.entries() == 0
    assert lab.connections() == []


def test_vector_2_udp_with_reply_keeps_ninety_seconds():
    lab = Lab(profile="linux-6.18")
    lab.client(udp())
    lab.wait(3)
    lab.server(udp_reply())
    assert lab.statistics.offloaded == 1
    lab.client(udp())
    assert lab.statistics.bypass == 1
    lab.wait(31)
    assert lab.entries() == 0
    fields = only(lab.connections()).split()
    assert 88 <= int(fields[2]) <= 90


def test_vector_3_tcp_closing_flow_since_6_14():
    lab = Lab(profile="linux-6.18")
    tcp = Tcp(lab)
    tcp.out("S")
    tcp.back("SA")
    assert lab.statistics.offloaded == 0
    tcp.out("A")
    assert lab.statistics.offloaded == 1
    sent = tcp.out("FA")
    assert len(sent) == 1
    assert lab.statistics.bypass == 1
    assert "[OFFLOAD]" in only(lab.connections())
    lab.wait(31.5)
    line = only(lab.connections())
    assert "CLOSE" in line.split()
    assert 8 <= int(line.split()[2]) <= 10
    assert lab.statistics.teardowns == {Teardown.IDLE: 1}


def test_vector_3_syn_on_a_closing_flow_starts_over():
    lab = Lab(profile="linux-6.18")
    tcp = Tcp(lab)
    tcp.open()
    tcp.out("FA")
    again = Tcp(lab, seq=90000)
    assert len(again.out("S")) == 1
    assert lab.statistics.misses[Miss.TCP_REOPEN] == 1
    assert "SYN_SENT" in only(lab.connections())


@pytest.mark.parametrize("profile", ["linux-6.12", "linux-5.13"])
def test_vector_4_fin_goes_to_conntrack_until_6_13(profile):
    lab = Lab(profile=profile)
    tcp = Tcp(lab)
    tcp.open()
    tcp.out("A", b"data")
    tcp.back("A")
    assert len(tcp.out("FA")) == 1
    assert lab.statistics.misses[Miss.TCP_CLOSING] == 1
    assert lab.statistics.teardowns == {Teardown.FIN: 1}
    # Until 5.13 the OFFLOAD status goes with the entry, at the next garbage collection.
    lab.wait(1.1)
    assert "FIN_WAIT" in only(lab.connections())


@pytest.mark.parametrize("profile", ["default", "linux-6.12", "linux-6.18", "linux-5.13"])
def test_vector_5_too_big_goes_up_and_keeps_the_flow(profile):
    lab = Lab(profile=profile, box_file=BOX.replace("name: wan0,", "name: wan0, mtu: 1400,"))
    lab.client(udp())
    lab.client(udp())
    assert lab.entries() == 1
    bypass = lab.statistics.bypass
    fits = lab.client(udp(size=1400 - 28))
    assert len(fits) == 1
    assert lab.statistics.bypass == bypass + 1
    fragments = lab.client(udp(size=1401 - 28))
    assert lab.statistics.misses[Miss.TOO_BIG] == 1
    assert lab.entries() == 1
    assert [bool(sent.ether[IP].flags.MF) for sent in fragments] == [True, False]


def test_vector_6_ttl():
    lab = Lab()
    lab.client(udp())
    lab.client(udp())
    expired = udp()
    expired.ttl = 1
    answer = lab.client(expired)
    assert lab.statistics.misses[Miss.TTL_EXPIRED] == 1
    assert [sent.device for sent in answer] == ["lan0"]
    assert (answer[0].ether[ICMP].type, answer[0].ether[ICMP].code) == (11, 0)
    last = udp()
    last.ttl = 2
    bypass = lab.statistics.bypass
    assert lab.client(last)[0].ether[IP].ttl == 1
    assert lab.statistics.bypass == bypass + 1


def right_checksums(frame):
    """The packet as scapy would send it; equal only if every checksum is right."""
    fresh = frame[IP].copy()
    del fresh.chksum
    if UDP in fresh and frame[UDP].chksum:
        del fresh[UDP].chksum
    if TCP in fresh:
        del fresh[TCP].chksum
    return bytes(fresh) == bytes(frame[IP])


def test_vector_7_masquerade():
    lab = Lab(MASQUERADE)
    lab.client(udp())
    lab.client(udp())
    out = lab.client(udp())[0].ether
    assert lab.statistics.bypass == 1
    assert out[IP].src == "10.0.2.1"
    assert right_checksums(out)
    back = lab.server(udp_reply(destination="10.0.2.1", dport=out[UDP].sport))[0].ether
    assert lab.statistics.bypass == 2
    assert (back[IP].dst, back[UDP].dport) == (CLIENT, 5000)
    assert right_checksums(back)


def test_vector_7_udp_checksums_of_zero():
    lab = Lab(MASQUERADE)
    lab.client(udp())
    lab.client(udp())
    none = udp()
    none[UDP].chksum = 0
    assert lab.client(none)[0].ether[UDP].chksum == 0
    # Two bytes of payload that make the checksum of the translated packet 0, sent as 0xffff.
    probe = lab.client(IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=53) / b"\0\0")[0].ether
    payload = probe[UDP].chksum.to_bytes(2, "big")
    out = lab.client(IP(src=CLIENT, dst=SERVER) / UDP(sport=5000, dport=53) / payload)[0].ether
    assert lab.statistics.bypass == 3
    assert out[UDP].chksum == 0xFFFF


def test_vector_8_dnat_and_snat():
    lab = Lab(DNAT_AND_SNAT, box_file=BOX)
    tcp = Tcp(lab, server="10.6.6.6", dport=1666)
    syn = tcp_segment(tcp, "S")
    # The box has no route to 10.6.6.6: the routing decision comes after translation.
    [sent] = lab.client(syn)
    seen = sent.ether
    assert (seen[IP].src, seen[IP].dst, seen[TCP].dport) == ("10.0.2.1", SERVER, 12345)
    port = seen[TCP].sport
    lab.server(IP(src=SERVER, dst="10.0.2.1") / TCP(sport=12345, dport=port, flags="SA", seq=1, ack=1001))
    lab.client(tcp_segment(tcp, "A", seq=1001, ack=2))
    assert lab.statistics.offloaded == 1
    out = lab.client(tcp_segment(tcp, "PA", seq=1001, ack=2) / b"hello")[0].ether
    assert lab.statistics.bypass == 1
    assert (out[IP].src, out[TCP].sport, out[IP].dst, out[TCP].dport) == ("10.0.2.1", port, SERVER, 12345)
    assert right_checksums(out)
    back = lab.server(
        IP(src=SERVER, dst="10.0.2.1") / TCP(sport=12345, dport=port, flags="PA", seq=2, ack=1006) / b"world"
    )[0].ether
    assert lab.statistics.bypass == 2
    assert (back[IP].src, back[TCP].sport, back[IP].dst) == ("10.6.6.6", 1666, CLIENT)
    assert right_checksums(back)


def tcp_segment(tcp, flags, seq=1000, ack=0):
    return IP(src=tcp.client, dst=tcp.server) / TCP(
        sport=tcp.sport, dport=tcp.dport, flags=flags, seq=seq, ack=ack, window=65000
    )


@pytest.mark.parametrize("profile", ["default", "linux-6.12"])
def test_vector_9_ingress_device_down(profile):
    lab = Lab(profile=profile)
    lab.client(udp())
    lab.client(udp())
    assert lab.entries() == 1
    topology = lab.box.topology
    topology.set_link(topology.devices["lan0"], up=False)
    assert lab.entries() == 0
    assert lab.statistics.teardowns == {Teardown.DEVICE: 1}


TAGGED = BOX.replace(
    f"""{{name: lan0, mac: "{LAN_MAC}", addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}}""",
    f"""{{name: lan0, mac: "{LAN_MAC}"}}
  - {{name: lan0.10, kind: vlan, parent: lan0, id: 10, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}}""",
).replace("dev: lan0", "dev: lan0.10")


def tagged(lab, priority=0):
    """What the client's datagram becomes that arrives in VLAN 10 on lan0."""
    return lab.receive("lan0", Ether(src=CLIENT_MAC, dst=LAN_MAC) / Dot1Q(vlan=10, prio=priority) / udp())


@pytest.mark.parametrize(("profile", "left"), [("default", 0), ("linux-6.12", 1)])
def test_vector_9_upper_device_down(profile, left):
    lab = Lab(profile=profile, box_file=TAGGED)
    tagged(lab)
    tagged(lab)
    assert lab.entries() == 1
    lab.box.topology.set_link(lab.box.topology.devices["lan0.10"], up=False)
    assert lab.entries() == left
    lab.box.topology.set_link(lab.box.topology.devices["lan0"], up=False)
    assert lab.entries() == 0
    assert lab.statistics.teardowns == {Teardown.DEVICE: 1}


def test_vector_10_route_change_sends_the_flow_up_once():
    lab = Lab(profile="linux-6.12")
    tcp = Tcp(lab)
    tcp.open()
    gateway = ip_address(SERVER).packed
    lab.box.topology.fib4.add(Route(IPV4, ip_address("203.0.113.0").packed, 24, gateway=gateway))
    tcp.out("PA", b"data")
    assert lab.statistics.misses[Miss.STALE_ROUTE] == 1
    assert lab.statistics.offloaded == 2
    tcp.out("PA", b"data")
    assert lab.statistics.bypass == 1


def refused(addition: str) -> str:
    """Why a ruleset with an addition does not load."""
    with pytest.raises(RulesetError) as error:
        parse(FORWARD + addition, "ruleset.nft")
    return str(error.value).partition("Error: ")[2].partition("\n")[0]


def test_vector_11_delete_flowtable_with_a_rule():
    assert refused("delete flowtable inet x f\n") == "Could not process rule: Device or resource busy"
    rules = parse(FORWARD + "flush chain inet x y\ndelete flowtable inet x f\n", "ruleset.nft")
    assert list(rules.flowtables()) == []


def flowtable(name: str, body: str) -> str:
    return f"table inet x {{\n flowtable {name} {{\n hook ingress priority filter; {body}\n }}\n}}\n"


def test_vector_11_toggle_offload_or_counter():
    toggled = flowtable("f", "devices = { lan0 }; flags offload")
    assert refused(toggled) == "Could not process rule: Operation not supported"
    [counting] = parse(FORWARD + flowtable("f", "devices = { lan0 }; counter"), "ruleset.nft").flowtables()
    assert counting.counter


def test_vector_12_devices():
    exists = "Could not process rule: File exists"
    assert refused(flowtable("g", "devices = { eth0, eth0 };")) == exists
    assert refused(flowtable("g", "devices = { lan0 };")) == exists
    [again] = parse(FORWARD + flowtable("f", "devices = { lan0 };"), "ruleset.nft").flowtables()
    assert again.devices == ("lan0", "wan0")
    with pytest.raises(RulesetError, match="No such file or directory"):
        Lab(FORWARD.replace("lan0, wan0", "lan0, eth9"))


def test_vector_13_counter_behind_flow_add_counts_flows():
    rules = FORWARD.replace("flow add @f\n        counter", "flow add @f counter accept\n        counter")
    lab = Lab(rules)
    for port in range(5000, 5005):
        for _ in range(4):
            lab.client(udp(sport=port))
    assert lab.statistics.offloaded == 5
    assert "flow add @f counter packets 5 bytes 190 accept" in lab.listing()


NOTRACK = """
table inet x {
    flowtable f {
        hook ingress priority filter; devices = { lan0, wan0 };
    }
    chain raw {
        type filter hook prerouting priority raw; policy accept;
        udp dport 53 notrack
    }
    chain y {
        type filter hook forward priority filter; policy accept;
        flow add @f
    }
}
"""


def test_vector_14_what_is_never_offloaded():
    lab = Lab(NOTRACK)
    for _ in range(3):
        lab.client(udp())
    assert lab.statistics.offloaded == 0
    assert lab.statistics.refusals == {Refusal.NO_CONNECTION: 3}

    lab = Lab()
    for number in range(3):
        lab.client(IP(src=CLIENT, dst=SERVER) / ICMP(id=7, seq=number))
        lab.server(IP(src=SERVER, dst=CLIENT) / ICMP(type=0, id=7, seq=number))
    assert lab.statistics.offloaded == 0
    assert lab.statistics.refusals == {Refusal.PROTOCOL: 6}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda ct: setattr(ct, "helper", "ftp"), Refusal.HELPER),
        (lambda ct: setattr(ct, "status", ct.status | 1 << 6), Refusal.SEQ_ADJUST),
        (lambda ct: setattr(ct, "status", ct.status | 1 << 12), Refusal.NAT_CLASH),
    ],
)
def test_vector_14_connections_that_need_the_classic_path(change, refusal):
    lab = Lab()
    lab.client(udp())
    for connection in lab.box.conntrack:
        change(connection)
    lab.client(udp())
    assert lab.statistics.offloaded == 0
    assert lab.statistics.refusals[refusal] == 1


def test_vector_15_counter_needs_accounting():
    counting = FORWARD.replace("devices = { lan0, wan0 };", "devices = { lan0, wan0 }; counter")
    lab = Lab(counting)
    for _ in range(3):
        lab.client(udp())
    assert "packets=" not in only(lab.connections())

    lab = Lab(counting, box_file=accounting())
    for _ in range(3):
        lab.client(udp())
    assert "packets=3 bytes=114 [UNREPLIED]" in only(lab.connections())

    lab = Lab(FORWARD, box_file=accounting())
    for _ in range(3):
        lab.client(udp())
    assert "packets=2 bytes=76 [UNREPLIED]" in only(lab.connections())


@pytest.mark.parametrize("profile", ["default", "linux-6.12"])
def test_vector_16_vlan_priority(profile):
    lab = Lab(profile=profile, box_file=TAGGED)
    for _ in range(3):
        (sent,) = tagged(lab)
        assert sent.device == "wan0"
    assert lab.statistics.bypass == 1
    (sent,) = tagged(lab, priority=5)
    assert sent.device == "wan0"
    assert lab.statistics.bypass == (2 if profile == "default" else 1)


def test_vector_19_refresh_at_most_once_a_second():
    lab = Lab(profile="linux-6.12")
    lab.client(udp())
    lab.client(udp())
    entry = next(lab.box.flowtables.entries())
    entry.flowtable.look(entry)
    stamp = entry.refreshed
    lab.wait(0.6)
    lab.client(udp())
    entry.flowtable.look(entry)
    assert entry.refreshed == stamp
    lab.wait(0.6)
    lab.client(udp())
    entry.flowtable.look(entry)
    assert entry.refreshed == lab.now
    stamp = entry.refreshed
    lab.wait(0.3)
    lab.client(udp())
    assert entry.refreshed == stamp


HARDWARE = FORWARD.replace("wan0 };", "wan0 }; flags offload;")
PROFILES = pytest.mark.parametrize("profile", ["default", "linux-6.12", "linux-6.18"])


def chip(**keys: object) -> str:
    """A box with a chip on both wires."""
    words = "".join(f", {key}: {value}" for key, value in keys.items())
    return BOX + f"hardware: {{chips: [{{name: asic, ports: [lan0, wan0]{words}}}]}}\n"


@PROFILES
def test_vector_17_a_chip_that_takes_one_direction_only(profile: str) -> None:
    """[HW_OFFLOAD] in the connection list, as in the kernel; the flow list tells them apart."""
    lab = Lab(HARDWARE, profile, chip(entries=1))
    for _ in range(2):
        lab.client(udp())
    lab.wait(0.1)
    assert "[HW_OFFLOAD]" in only(lab.connections())
    lab.server(udp_reply())
    lab.client(udp())
    assert (lab.statistics.hardware, lab.statistics.bypass) == (1, 1)


@PROFILES
def test_vector_17_a_chip_that_takes_neither(profile: str) -> None:
    """[OFFLOAD], and tried again about once a second while packets flow in software."""
    rules = MASQUERADE.replace("wan0 };", "wan0 }; flags offload;", 1)
    lab = Lab(rules, profile, chip(lacks="[nat]"))
    failures = lab.box.flowtables.work.failures
    for _ in range(2):
        lab.client(udp())
    for _ in range(50):
        lab.wait(0.1)
        lab.client(udp())
    assert "[OFFLOAD]" in only(lab.connections())
    assert lab.statistics.hardware == 0
    attempts = failures[OffloadFailure.UNSUPPORTED]
    assert 2 * 5 <= attempts <= 2 * 7, "of either direction"
    lab.wait(5)
    assert failures[OffloadFailure.UNSUPPORTED] <= attempts + 4, "and no more without packets"


def test_vector_18_a_fin_takes_the_flow_out_of_hardware() -> None:
    """Since 6.14: within a second, and the list falls back to [OFFLOAD]."""
    lab = Lab(HARDWARE, "linux-6.18", chip())
    tcp = Tcp(lab)
    tcp.out("S")
    tcp.back("SA")
    tcp.out("A")
    lab.wait(0.1)
    tcp.out("PA", b"x")
    assert lab.statistics.hardware == 1
    assert "[HW_OFFLOAD]" in only(lab.connections())
    tcp.out("FA")
    assert (lab.statistics.hardware, lab.statistics.bypass) == (1, 1)
    lab.wait(1.1)
    assert "[OFFLOAD]" in only(lab.connections())
    assert lab.box.chips is not None and not len(lab.box.chips.switches[0])


@PROFILES
def test_vector_20_in_hardware_not_before_it_is_deleted_there(profile: str) -> None:
    """Two deletions that take a second each: Linux keeps the flow until then."""
    lab = Lab(HARDWARE, profile, chip(insert_rate=1))
    (flowtable,) = lab.box.flowtables
    lab.client(udp())
    lab.client(udp())
    lab.wait(31.5)
    assert lab.statistics.teardowns == {Teardown.IDLE: 1}
    assert len(flowtable) == (0 if profile == "default" else 1)
    lab.wait(4)
    assert not len(flowtable)
    assert lab.box.chips is not None and not len(lab.box.chips.switches[0])


@PROFILES
def test_vector_20_collected_within_a_second_of_expiry(profile):
    lab = Lab(profile=profile)
    lab.client(udp())
    lab.client(udp())
    lab.wait(29.9)
    assert lab.entries() == 1
    lab.wait(1.2)
    assert lab.entries() == 0
    assert lab.statistics.teardowns == {Teardown.IDLE: 1}


def test_ipv6_flow():
    lab = Lab()
    packet = IPv6(src=CLIENT6, dst=SERVER6) / UDP(sport=1, dport=2) / b"x"
    for _ in range(3):
        assert lab.client(packet)[0].ether[IPv6].hlim == 63
    assert lab.statistics.bypass == 1


def test_gre_flow():
    lab = Lab()
    packet = IP(src=CLIENT, dst=SERVER) / GRE(proto=0x0800) / (b"x" * 20)
    for _ in range(3):
        assert len(lab.client(packet)) == 1
    assert lab.statistics.bypass == 1


def test_drop_and_box_errors_are_named():
    lab = Lab(FORWARD.replace("policy accept", "policy drop"))
    lab.client(udp())
    assert lab.statistics.drops == {Drop.POLICY: 1}
    with pytest.raises(BoxError, match=r"devices\[0\].mtu"):
        Lab(box_file=BOX.replace("name: lan0,", "name: lan0, mtu: 20,"))
