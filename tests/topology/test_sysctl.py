from __future__ import annotations

import pytest

from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.error import TopologyError
from flowtable.topology.sysctl import Sysctls, find

# `sysctl -a` of a Linux box on which nothing was set.
LINUX = """\
net.ipv4.ip_default_ttl = 64
net.ipv4.icmp_ratelimit = 1000
net.ipv4.icmp_ratemask = 6168
net.ipv4.icmp_msgs_per_sec = 1000
net.ipv4.icmp_msgs_burst = 50
net.ipv4.icmp_echo_ignore_all = 0
net.ipv4.icmp_echo_ignore_broadcasts = 1
net.ipv4.icmp_errors_use_inbound_ifaddr = 0
net.ipv4.ipfrag_time = 30
net.ipv4.ipfrag_high_thresh = 4194304
net.ipv4.ipfrag_max_dist = 64
net.ipv6.icmp.echo_ignore_all = 0
net.ipv6.ip6frag_time = 60
net.ipv6.ip6frag_high_thresh = 4194304
net.netfilter.nf_conntrack_acct = 0
net.netfilter.nf_conntrack_checksum = 1
net.netfilter.nf_conntrack_frag6_high_thresh = 4194304
net.netfilter.nf_conntrack_frag6_timeout = 60
net.netfilter.nf_conntrack_generic_timeout = 600
net.netfilter.nf_conntrack_gre_timeout = 30
net.netfilter.nf_conntrack_gre_timeout_stream = 180
net.netfilter.nf_conntrack_icmp_timeout = 30
net.netfilter.nf_conntrack_icmpv6_timeout = 30
net.netfilter.nf_conntrack_max = 262144
net.netfilter.nf_conntrack_tcp_be_liberal = 0
net.netfilter.nf_conntrack_tcp_ignore_invalid_rst = 0
net.netfilter.nf_conntrack_tcp_loose = 1
net.netfilter.nf_conntrack_tcp_max_retrans = 3
net.netfilter.nf_conntrack_tcp_timeout_close = 10
net.netfilter.nf_conntrack_tcp_timeout_close_wait = 60
net.netfilter.nf_conntrack_tcp_timeout_established = 432000
net.netfilter.nf_conntrack_tcp_timeout_fin_wait = 120
net.netfilter.nf_conntrack_tcp_timeout_last_ack = 30
net.netfilter.nf_conntrack_tcp_timeout_max_retrans = 300
net.netfilter.nf_conntrack_tcp_timeout_syn_recv = 60
net.netfilter.nf_conntrack_tcp_timeout_syn_sent = 120
net.netfilter.nf_conntrack_tcp_timeout_time_wait = 120
net.netfilter.nf_conntrack_tcp_timeout_unacknowledged = 300
net.netfilter.nf_conntrack_udp_timeout = 30
net.netfilter.nf_conntrack_udp_timeout_stream = 120
"""


@pytest.mark.parametrize("line", LINUX.splitlines())
def test_defaults_are_those_of_linux(line):
    name, _, value = line.partition(" = ")
    found = getattr(Sysctls(), find(name).attribute)
    assert " ".join(map(str, found if isinstance(found, tuple) else (found,))) == " ".join(value.split())


def test_flowtable_timeouts():
    # Documentation/networking/nf_conntrack-sysctl.rst
    assert (Sysctls().nf_flowtable_tcp_timeout, Sysctls().nf_flowtable_udp_timeout) == (30, 30)


@pytest.mark.parametrize("name", ["net.ipv4.ip_default_ttl", "net/ipv4/ip_default_ttl"])
def test_both_ways_to_write_a_name(name):
    sysctls = Sysctls()
    sysctls.set(name, 63)
    assert sysctls.ip_default_ttl == 63


@pytest.mark.parametrize(
    "name",
    ["net.ipv4.conf.eth0/10.rp_filter", "net/ipv4/conf/eth0.10/rp_filter", "net.ipv4.conf.eth0.10.rp_filter"],
)
def test_a_device_with_a_dot_in_its_name(name):
    sysctls = Sysctls()
    sysctls.set(name, 2)
    assert sysctls.rp_filter("eth0.10") == 2
    assert sysctls.rp_filter("eth0") == 0
    assert list(sysctls.stated()) == [("net.ipv4.conf.eth0/10.rp_filter", 2)]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("net.ipv4.ip_forwrd", "no such sysctl; did you mean 'net.ipv4.ip_forward'?"),
        ("net.ipv4.conf.lan0.rp_filtr", "no such sysctl; did you mean 'rp_filter'?"),
        ("net.netfilter.nf_conntrack_acc", "no such sysctl; did you mean 'net.netfilter.nf_conntrack_acct'?"),
        ("kernel.panic", "no such sysctl"),
        ("net.ipv4.conf.rp_filter", "no such sysctl; did you mean 'rp_filter'?"),
        ("net.ipv4.neigh.all.ucast_solicit", "no such sysctl; did you mean 'ucast_solicit'?"),
        ("", "no such sysctl"),
    ],
)
def test_unknown_names(name, hint):
    with pytest.raises(TopologyError) as caught:
        find(name)
    assert str(caught.value) == hint


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("net.ipv4.ip_forward", 2, "expected 0..1, got 2"),
        ("net.ipv4.ip_default_ttl", 0, "expected 1..255, got 0"),
        ("net.ipv4.conf.all.rp_filter", 3, "expected 0..2, got 3"),
        ("net.netfilter.nf_conntrack_max", -1, "expected 0..2147483647, got -1"),
    ],
)
def test_values_out_of_range(name, value, message):
    with pytest.raises(TopologyError) as caught:
        Sysctls().set(name, value)
    assert str(caught.value) == message


def test_forwarding_of_all_is_that_of_each_device():
    sysctls = Sysctls()
    assert not sysctls.ip_forward()
    sysctls.set("net.ipv4.ip_forward", 1)
    assert sysctls.ip_forward()
    assert sysctls.ip_forward("lan0")
    sysctls.set("net.ipv4.conf.lan0.forwarding", 0)
    assert not sysctls.ip_forward("lan0")
    assert sysctls.ip_forward("wan0")


def test_ipv6_forwarding_is_decided_by_all():
    sysctls = Sysctls()
    sysctls.set("net.ipv6.conf.lan0.forwarding", 1)
    assert not sysctls.ip6_forward()
    assert sysctls.ip6_router("lan0")
    sysctls.set("net.ipv6.conf.all.forwarding", 1)
    assert sysctls.ip6_forward()
    assert sysctls.ip6_router("wan0")


@pytest.mark.parametrize("name", ["rp_filter", "arp_ignore", "arp_announce", "arp_accept"])
def test_the_larger_of_all_and_the_device_counts(name):
    sysctls = Sysctls()
    ask = getattr(sysctls, name)
    assert ask("lan0") == 0
    sysctls.set(f"net.ipv4.conf.default.{name}", 1)
    assert ask("lan0") == 1
    sysctls.set(f"net.ipv4.conf.lan0.{name}", 0)
    assert (ask("lan0"), ask("wan0")) == (0, 1)
    sysctls.set(f"net.ipv4.conf.all.{name}", 2)
    assert (ask("lan0"), ask("wan0")) == (2, 2)


def test_redirects_are_off_only_where_all_and_the_device_say_so():
    sysctls = Sysctls()
    assert sysctls.send_redirects("lan0")
    sysctls.set("net.ipv4.conf.all.send_redirects", 0)
    assert sysctls.send_redirects("lan0")
    sysctls.set("net.ipv4.conf.lan0.send_redirects", 0)
    assert not sysctls.send_redirects("lan0")
    assert sysctls.send_redirects("wan0")


@pytest.mark.parametrize("name", ["accept_local", "route_localnet"])
def test_off_until_said(name):
    sysctls = Sysctls()
    assert getattr(sysctls, name)("lan0") is False
    sysctls.set(f"net.ipv4.conf.all.{name}", 1)
    assert getattr(sysctls, name)("lan0") is True


def test_hop_limit():
    sysctls = Sysctls()
    assert sysctls.hop_limit("lan0") == 64
    sysctls.set("net.ipv6.conf.default.hop_limit", 32)
    sysctls.set("net.ipv6.conf.lan0.hop_limit", 16)
    assert (sysctls.hop_limit("lan0"), sysctls.hop_limit("wan0")) == (16, 32)


def test_neighbours_do_not_age_until_the_box_says_so():
    sysctls = Sysctls()
    parms = sysctls.neigh(IPV4, "lan0")
    assert parms.base_reachable_time_ms is None
    assert (parms.mcast_solicit, parms.ucast_solicit, parms.retrans_time_ms) == (3, 3, 1000)
    assert (parms.unres_qlen, parms.delay_first_probe_time, parms.gc_stale_time) == (101, 5, 60)
    sysctls.set("net.ipv4.neigh.default.base_reachable_time_ms", 30000)
    sysctls.set("net.ipv4.neigh.wan0.mcast_solicit", 1)
    assert sysctls.neigh(IPV4, "lan0").base_reachable_time_ms == 30000
    assert sysctls.neigh(IPV4, "wan0").mcast_solicit == 1
    assert sysctls.neigh(IPV6, "lan0").base_reachable_time_ms is None


def test_stated_gives_back_what_was_set():
    sysctls = Sysctls()
    values: dict[str, int] = {
        "net.ipv4.ip_default_ttl": 32,
        "net.ipv4.ip_forward": 1,
        "net.ipv4.neigh.default.mcast_solicit": 4,
        "net.ipv6.conf.all.forwarding": 1,
        "net.ipv6.neigh.lan0.unres_qlen": 5,
        "net.netfilter.nf_conntrack_tcp_timeout_established": 86400,
    }
    for name, value in values.items():
        sysctls.set(name, value)
    assert dict(sysctls.stated()) == values


def test_nothing_is_stated_of_the_defaults():
    assert list(Sysctls().stated()) == []
