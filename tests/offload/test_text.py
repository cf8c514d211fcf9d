"""Rules in words, and as filters of tc."""

from __future__ import annotations

from typing import Any

from flowtable.conntrack.tuple import ORIGINAL, REPLY
from flowtable.offload.build import build
from flowtable.offload.rule import Rule
from flowtable.offload.tcflower.text import flower, guard, lacks, shape_of
from flowtable.offload.words import words
from flowtable.packet import packet as wire
from flowtable.profile import DEFAULT, LINUX_6_12
from flowtable.topology.hardware import ChipModel
from tests.flows.stacks import STACKS
from tests.flows.support import PUBLIC, PUBLIC6, World


def rules(lan: str = "nic", wan: str = "nic", l4proto: int = wire.TCP, **more: Any) -> list[Rule]:
    profile = LINUX_6_12 if more.pop("linux", False) else DEFAULT
    world = World(profile, lan=STACKS[lan], wan=STACKS[wan], chip=ChipModel())
    entry = world.offload(world.connect(l4proto, **more))
    built = [build(entry, d, profile) for d in (ORIGINAL, REPLY)]
    assert all(isinstance(rule, Rule) for rule in built)
    return [rule for rule in built if isinstance(rule, Rule)]


def test_words() -> None:
    original, reply = rules("vlan", "pppoe", snat=(PUBLIC, 5000))
    assert words(original) == (
        "from lan-0, vlan 10, to 02:00:00:00:00:01, tcp 10.0.1.99:40000 > 198.51.100.7:443, no FIN or RST"
        " -> up to 1492 bytes: to 02:00:00:00:00:ac, from 02:00:00:00:00:02, source 192.0.2.1, sport 5000,"
        " tag off, session 4660 on, out of wan-0"
    )
    assert words(reply) == (
        "from wan-0, session 4660, to 02:00:00:00:00:02, by 02:00:00:00:00:ac,"
        " tcp 198.51.100.7:443 > 192.0.2.1:5000, no FIN or RST"
        " -> up to 1500 bytes: to 02:00:00:00:00:c1, from 02:00:00:00:00:01, destination 10.0.1.99,"
        " dport 40000, vlan 10 on, out of lan-0"
    )


def test_words_of_ipv6_and_of_linux() -> None:
    original, _ = rules("qinq", l4proto=wire.UDP, ipv6=True, linux=True)
    assert words(original) == (
        "from lan-0, vlan 10, udp [2001:db8:1::99]:40000 > [2001:db8:ffff::7]:443"
        " -> to 02:00:00:00:00:fe, from 02:00:00:00:00:02, tag off, out of wan"
    )
    gre, _ = rules("nic", "qinq", l4proto=wire.GRE)
    assert "gre 10.0.1.99 > 198.51.100.7 ->" in words(gre)
    assert "vlan 10 on, svlan 100 on, out of wan-0" in words(gre)


def test_a_filter_with_translation() -> None:
    original, _ = rules(snat=(PUBLIC, 5000))
    assert flower(original, "skip_sw") == (
        "flower skip_sw dst_mac 02:00:00:00:00:01 ip_proto tcp src_ip 10.0.1.99 dst_ip 198.51.100.7"
        " src_port 40000 dst_port 443 tcp_flags 0x0/0x5 ip_flags nofrag"
        " action police mtu 1514 conform-exceed ok/pipe"
        " action pedit ex munge eth dst set 02:00:00:00:00:fe munge eth src set 02:00:00:00:00:02"
        " munge ip src set 192.0.2.1 munge tcp sport set 5000 munge ip ttl add 0xff pipe"
        " action csum ip4h and tcp pipe"
        " action mirred egress redirect dev wan"
    )
    assert shape_of(original.match).protocol == "ip"
    assert guard(shape_of(original.match), "skip_sw") == "flower skip_sw ip_ttl 0/0xfe action pass"


def test_a_filter_with_tags() -> None:
    original, reply = rules("qinq", "vlan", l4proto=wire.UDP, ipv6=True, snat=PUBLIC6)
    assert flower(original, "skip_hw") == (
        "flower skip_hw dst_mac 02:00:00:00:00:01 vlan_id 100 vlan_prio 0 vlan_ethtype 802.1Q"
        " cvlan_id 10 cvlan_prio 0 cvlan_ethtype ipv6"
        " ip_proto udp src_ip 2001:db8:1::99 dst_ip 2001:db8:ffff::7 src_port 40000 dst_port 443"
        " action police mtu 1518 conform-exceed ok/pipe action vlan pop pipe action vlan pop pipe"
        " action pedit ex munge eth dst set 02:00:00:00:00:fe munge eth src set 02:00:00:00:00:02"
        " munge ip6 src set 2001:db8:2::1 munge udp sport set 40000 munge ip6 hoplimit add 0xff pipe"
        " action csum udp pipe"
        " action vlan push id 10 protocol 802.1Q priority 0 pipe action mirred egress redirect dev wan-0"
    )
    assert shape_of(original.match).protocol == "802.1ad"
    assert guard(shape_of(original.match), "skip_hw") == (
        "flower skip_hw vlan_ethtype 802.1Q cvlan_ethtype ipv6 ip_ttl 0/0xfe action pass"
    )
    assert flower(reply, "skip_sw").endswith(
        " action vlan push id 10 protocol 802.1Q priority 0 pipe"
        " action vlan push id 100 protocol 802.1ad priority 0 pipe action mirred egress redirect dev lan-0"
    )
    plain, _ = rules(l4proto=wire.UDP, ipv6=True)
    assert " csum " not in flower(plain, "skip_sw")


def test_what_tc_has_no_words_for() -> None:
    assert [lacks(rule) for rule in rules("nic", "pppoe")] == ["pppoe", "pppoe"]
    assert [lacks(rule) for rule in rules("qinq", linux=True)] == [None, "action accept"]
    assert [lacks(rule) for rule in rules()] == [None, None]
