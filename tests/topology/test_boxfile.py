"""Box files: what they say, and what is said of those that are wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flowtable.packet.packet import TCP, UDP
from flowtable.topology.boxfile import BoxError, dump, load
from flowtable.topology.device import AddrGenMode, DeviceKind, Scope
from flowtable.topology.neighbour import NeighbourState
from flowtable.topology.topology import Service
from tests.topology.boxes import LAN_MAC, line, packed

ROUTER = """\
devices:
  - name: lan0
    mac: 02:00:00:00:01:01
    mtu: 1500
    addresses: [192.168.1.1/24, "2001:db8:1::1/64"]
  - name: wan0
    kind: ethernet
    ifindex: 7
    mac: 02:00:00:00:02:01
    up: true
    group: 3
    addrgenmode: none
    addresses:
      - {address: 198.51.100.2/24, broadcast: 198.51.100.7, metric: 5}
      - {address: 10.0.0.1, peer: 10.0.0.2/32, scope: link}
      - {address: 2001:db8:2::1/64, deprecated: true, noprefixroute: true}
  - name: dmz0
    mac: 02:00:00:00:03:01
    up: false
routes:
  - to: default
    via: 198.51.100.1
    dev: wan0
  - {to: default, via: fe80::1, dev: wan0, mtu: 1400, metric: 7}
  - {to: 10.9.0.0/16, type: unreachable}
  - {to: 203.0.113.0/24, via: 203.0.113.1, dev: wan0, onlink: true, src: 192.168.1.1}
neighbours:
  - {address: 198.51.100.1, dev: wan0, mac: 02:00:00:00:02:02, state: reachable}
  - {address: fe80::1, dev: wan0, mac: 02:00:00:00:02:02, router: true}
  - {address: 192.168.1.9, dev: lan0, state: failed}
sysctls:
  net.ipv4.ip_forward: 1
  net/ipv4/conf/wan0/rp_filter: 2
services:
  - {protocol: tcp, port: 22}
  - {protocol: udp, port: 53, address: 192.168.1.1}
"""


def messages(text: str | bytes) -> list[str]:
    with pytest.raises(BoxError) as caught:
        load(text)
    return str(caught.value).splitlines()


class TestLoad:
    def test_devices(self):
        box = load(ROUTER)
        assert list(box.devices) == ["lo", "lan0", "wan0", "dmz0"]
        lan, wan, dmz = list(box.devices.values())[1:]
        assert (lan.index, lan.kind, lan.mac, lan.mtu) == (2, DeviceKind.ETHERNET, LAN_MAC, 1500)
        assert (wan.index, wan.group, wan.addrgenmode) == (7, 3, AddrGenMode.NONE)
        assert (dmz.index, dmz.up, dmz.addresses) == (3, False, [])

    def test_addresses(self):
        lan, wan = list(load(ROUTER).devices.values())[1:3]
        assert [a.address for a in lan.addresses] == [
            packed("192.168.1.1"),
            packed("2001:db8:1::1"),
            packed("fe80::ff:fe00:101"),
        ]
        first, second, third = wan.addresses
        assert (first.prefixlen, first.broadcast, first.metric) == (24, packed("198.51.100.7"), 5)
        assert (second.prefixlen, second.peer, second.scope) == (32, packed("10.0.0.2"), Scope.LINK)
        assert (third.deprecated, third.noprefixroute) == (True, True)

    def test_routes(self):
        box = load(ROUTER)
        static = [line(r) for fib in (box.fib4, box.fib6) for r in fib if r.protocol.value == "static"]
        assert static == [
            "default via 198.51.100.1 dev wan0",
            "unreachable 10.9.0.0/16",
            "203.0.113.0/24 via 203.0.113.1 dev wan0 src 192.168.1.1 onlink",
            "default via fe80::1 dev wan0 metric 7 mtu 1400",
        ]

    def test_neighbours(self):
        box = load(ROUTER)
        lan, wan = box.devices["lan0"], box.devices["wan0"]
        gateway = box.neighbours.get(wan, packed("198.51.100.1"))
        assert gateway is not None
        assert (gateway.mac, gateway.state) == (bytes.fromhex("020000000202"), NeighbourState.REACHABLE)
        router = box.neighbours.get(wan, packed("fe80::1"))
        assert router is not None
        assert (router.state, router.router) == (NeighbourState.PERMANENT, True)
        silent = box.neighbours.get(lan, packed("192.168.1.9"))
        assert silent is not None
        assert (silent.mac, silent.valid) == (None, False)

    def test_sysctls(self):
        sysctls = load(ROUTER).sysctls
        assert sysctls.ip_forward()
        assert sysctls.rp_filter("wan0") == 2

    def test_services(self):
        assert load(ROUTER).services == [Service(TCP, 22), Service(UDP, 53, packed("192.168.1.1"))]

    def test_lo(self):
        box = load("devices: [{name: lo, mtu: 9000, group: 2, addresses: [10.255.0.1/32, 127.0.0.1/8]}]")
        assert (box.lo.mtu, box.lo.group) == (9000, 2)
        assert [a.address for a in box.lo.addresses] == [*map(packed, ("127.0.0.1", "::1", "10.255.0.1"))]

    def test_an_ifindex_that_is_given_is_left_out_of_those_that_are_not(self):
        names = [("a", None), ("b", 2), ("c", None), ("d", 4)]
        devices = [
            {"name": name, "mac": f"02:00:00:00:00:0{i}"} | ({"ifindex": index} if index else {})
            for i, (name, index) in enumerate(names, 1)
        ]
        box = load(json.dumps({"devices": devices}))
        assert {d.name: d.index for d in box.devices.values()} == {"lo": 1, "a": 3, "b": 2, "c": 5, "d": 4}

    def test_a_gateway_may_be_on_the_link_of_a_later_route(self):
        box = load(
            "devices: [{name: wan0, mac: 02:00:00:00:02:01}]\n"
            "routes: [{to: default, via: 10.0.0.1}, {to: 10.0.0.1, dev: wan0}]"
        )
        assert box.fib4.lookup(packed("8.8.8.8")) is not None

    def test_macs_and_names_that_look_like_numbers(self):
        box = load("devices: [{name: 123, mac: 52:54:00:12:34:56}, {name: 1e3, mac: 02:00:00:00:00:01}]")
        assert list(box.devices) == ["lo", "123", "1e3"]
        assert box.devices["123"].mac == bytes.fromhex("525400123456")

    def test_json(self):
        text = json.dumps(
            {
                "devices": [{"name": "lan0", "mac": "02:00:00:00:01:01", "addresses": ["192.168.1.1/24"]}],
                "sysctls": {"net.ipv4.ip_forward": 1},
            },
            indent="\t",
        )
        assert load(text).devices["lan0"].addresses[0].address == packed("192.168.1.1")

    def test_bytes(self):
        assert dump(load(ROUTER.encode())) == dump(load(ROUTER))
        assert dump(load(b"\xef\xbb\xbf" + ROUTER.encode())) == dump(load(ROUTER))


def said(text: str) -> list[str]:
    return messages(text.replace("¦", ""))


def place(text: str, message: str) -> list[str]:
    """The only problem that is expected, where the mark ¦ stands."""
    before = text[: text.index("¦")]
    return [f"box.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: {message}"]


WRONG = """\
devices:
  - name: lan0
    mac: 02:00:00:00:01:01
    mtu: 20
    adresses: [192.168.1.1/24]
    addresses: [192.168.1.1/24, 1.1.1.1/33, ff02::1]
  - name: wan0
    kind: token-ring
    parent: lan0
    id: 10
  - name: dmz0
    mac: 02:00:00:00:03:01
    up: yes
routes:
  - {to: default, via: 1.1.1.1, dev: lan0}
  - {to: default}
  - {to: 10.0.0.1/8, dev: lann0}
  - {to: 10.0.0.0/8, via: fe80::1, dev: wan0}
routing: []
neighbours: {}
sysctls:
  net.ipv4.ip_forwrd: 1
  net.ipv4.conf.eht0.rp_filter: 1
services: [{protocol: sctp, port: 0}]
"""

KINDS = "loopback, ethernet, vlan, pppoe, bridge, dsa, macvlan, bond, vrf, ipip, ip6ip6 or sit"

WRONG_SAYS = f"""\
router.yaml:4:10: devices[0].mtu: expected 68..65535, got 20
router.yaml:5:5: devices[0]: unknown key 'adresses'; did you mean 'addresses'?
router.yaml:6:33: devices[0].addresses[1]: expected a prefix length of 0..32, got '33'
router.yaml:6:45: devices[0].addresses[2]: not an address that a device can have
router.yaml:8:11: devices[1].kind: expected {KINDS}, got token-ring
router.yaml:13:9: devices[2].up: expected true or false, got yes
router.yaml:16:10: routes[1].to: default of which family? Say 0.0.0.0/0 or ::/0
router.yaml:17:10: routes[2].to: host bits are set; expected 10.0.0.0/8, got 10.0.0.1/8
router.yaml:17:27: routes[2].dev: unknown device 'lann0'; did you mean 'lan0'?
router.yaml:18:27: routes[3].via: of another family than the destination
router.yaml:19:1: unknown key 'routing'; did you mean 'routes'?
router.yaml:20:13: neighbours: expected a list, got a mapping
router.yaml:22:3: sysctls.net.ipv4.ip_forwrd: no such sysctl; did you mean 'net.ipv4.ip_forward'?
router.yaml:23:3: sysctls.net.ipv4.conf.eht0.rp_filter: unknown device 'eht0'; expected dmz0, lan0, lo, wan0
router.yaml:24:23: services[0].protocol: expected tcp or udp, got sctp
router.yaml:24:35: services[0].port: expected 1..65535, got 0
"""

LAN = "devices: [{name: lan0, mac: 02:00:00:00:01:01, addresses: [192.168.1.1/24, 2001:db8::1/64]}]\n"


def two(first: str, second: str) -> str:
    return f"devices:\n- {{mac: 02:00:00:00:01:01, {first}}}\n- {{mac: 02:00:00:00:02:01, {second}}}\n"


class TestErrors:
    def test_all_of_a_file_are_reported_in_its_order(self):
        with pytest.raises(BoxError) as caught:
            load(WRONG, "router.yaml")
        assert str(caught.value) == WRONG_SAYS.rstrip()
        assert caught.value.name == "router.yaml"
        assert caught.value.problems[0].path == "devices[0].mtu"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("¦", "expected a mapping, got an empty file"),
            ("¦# nothing\n", "expected a mapping, got an empty file"),
            ("¦[]", "expected a mapping, got a list"),
            ("¦router", "expected a mapping, got router"),
            ("¦{}", "missing key 'devices'"),
            ("devices: ¦{}", "devices: expected a list, got a mapping"),
            ("devices:¦", "devices: expected a list, got nothing"),
            ("devices: []\n¦devices: []", "devices: this key stands twice"),
            ("devices: [¦x]", "devices[0]: expected a mapping, got x"),
            ("devices: [\n¦", "expected the node content, but found '<stream end>'"),
            ("devices: []\n¦\tx: 1", "found character '\\t' that cannot start any token"),
            ("devices: &a []\nroutes: ¦*a", "aliases are not supported"),
            ("devices: ¦!!set []", "tags are not supported"),
            ("devices: []\n¦---\ndevices: []", "expected one document"),
            ("? ¦[a]\n: b", "expected a key, got a list"),
            ("devices: []\nroutes: '¦\x01'", "character U+0001 is not allowed"),
            ('devices¦: "\\Uffffffff"', "what follows has an escape of no character"),
            (
                "¦" + "a" * 200 + ": 1\ndevices: []",
                f"unknown key {'a' * 40!r}; expected devices, rules, routes, neighbours, fdb, sysctls, "
                "services, hardware",
            ),
        ],
    )
    def test_of_the_document(self, text, message):
        assert said(text) == place(text, message)

    def test_not_utf8(self):
        assert messages(b"devices: []\n# caf\xe9\n") == ["box.yaml:2:6: byte 0xe9 is not UTF-8"]

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "[1, "])
    def test_nesting(self, opening):
        assert re.fullmatch(r"box.yaml:\d+:\d+: nested more than 16 deep", messages(opening * 100_000)[0])

    def test_many_references_to_many_references(self):
        lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))]
        assert messages("\n".join(lines)) == ["box.yaml:2:10: aliases are not supported"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("devices: [¦{mac: 02:00:00:00:01:01}]", "devices[0]: missing key 'name'"),
            ("devices: [¦{name: a}]", "devices[0]: missing key 'mac'"),
            ("devices: [{name:¦ , mac: 02:00:00:00:01:01}]", "devices[0].name: expected a text, got nothing"),
            (
                "devices: [{name: ¦[], mac: 02:00:00:00:01:01}]",
                "devices[0].name: expected a text, got a list",
            ),
            ("devices: [{name: ¦a/b, mac: 02:00:00:00:01:01}]", "devices[0].name: not a device name: 'a/b'"),
            (
                "devices: [{name: a, mac: ¦02:00:00:00:01}]",
                "devices[0].mac: expected a MAC address like 02:00:00:00:00:01, got 02:00:00:00:01",
            ),
            (
                "devices: [{name: a, mac: ¦01:00:00:00:00:01}]",
                "devices[0].mac: expected the MAC address of one station, got 01:00:00:00:00:01",
            ),
            (two("name: a", "name: ¦a"), "devices[1].name: there is already a device 'a'"),
            (
                two("name: a, ifindex: 5", "name: b, ifindex: ¦5"),
                "devices[1].ifindex: ifindex 5 is not positive or taken",
            ),
            (
                two("name: a, ifindex: ¦1", "name: b"),
                "devices[0].ifindex: ifindex 1 is not positive or taken",
            ),
            (
                "devices:\n- {mac: 02:00:00:00:01:01, name: a}\n- {mac: ¦02:00:00:00:01:01, name: b}\n",
                "devices[1].mac: a has this MAC address already",
            ),
            (
                two("name: a, addresses: [10.0.0.1/8]", "name: b, addresses: [¦10.0.0.1/16]"),
                "devices[1].addresses[0]: a has this address already",
            ),
            (
                two("name: a, addresses: [10.0.0.1/8, ¦10.0.0.1/16]", "name: b"),
                "devices[0].addresses[1]: a has this address already",
            ),
            (
                two("name: a, mtu: 1000, addresses: [¦2001:db8::1/64]", "name: b"),
                "devices[0].addresses[0]: IPv6 needs an MTU of at least 1280, a has 1000",
            ),
            (
                two("name: a, addresses: [{address: ¦10.0.0.1/8, peer: 10.0.0.2/8}]", "name: b"),
                "devices[0].addresses[0].address: the prefix length stands with the peer",
            ),
            (
                two("name: a, addresses: [{address: 10.0.0.1, peer: ¦fe80::1}]", "name: b"),
                "devices[0].addresses[0].peer: of another family than the address",
            ),
            (
                two("name: a, addresses: [{address: fe80::1/64, scope: ¦host}]", "name: b"),
                "devices[0].addresses[0].scope: the scope of an IPv6 address follows from the address",
            ),
            (
                two("name: a, addresses: [{address: fe80::1/64, broadcast: ¦1.1.1.1}]", "name: b"),
                "devices[0].addresses[0].broadcast: IPv6 has no broadcast addresses",
            ),
            (
                two("name: a, addresses: [¦fe80::1%a/64]", "name: b"),
                "devices[0].addresses[0]: expected an address like 192.0.2.1/24, got fe80::1%a/64",
            ),
            (
                "devices: [{name: lo, kind: ¦ethernet}]",
                "devices[0].kind: lo is the loopback device, and the only one",
            ),
            (
                "devices: [{name: lo, ¦mac: 02:00:00:00:01:01}]",
                "devices[0]: unknown key 'mac'; expected name, kind, ifindex, mtu, up, group, addresses",
            ),
            ("devices: [{name: lo, ifindex: ¦2}]", "devices[0].ifindex: expected 1, got 2"),
            (
                "devices: [{name: lo, addresses: [¦127.0.0.1/16]}]",
                "devices[0].addresses[0]: lo has this address already",
            ),
        ],
    )
    def test_of_devices(self, text, message):
        assert said(text) == place(text, message)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("routes: [¦{via: 192.168.1.9}]", "routes[0]: missing key 'to'"),
            ("routes: [¦{to: 10.0.0.0/8}]", "routes[0]: Egress device not specified"),
            (
                "routes: [{to: default, via: ¦10.0.0.1}]",
                "routes[0].via: Nexthop has invalid gateway: 10.0.0.1 is not on any link",
            ),
            (
                "routes: [{to: default, via: ¦192.168.1.1}]",
                "routes[0].via: Gateway can not be a local address",
            ),
            (
                "routes: [{to: 10.0.0.0/8, dev: lan0}, {to: ¦10.0.0.0/8, dev: lan0}]",
                "routes[1].to: File exists: there is such a route already",
            ),
            (
                "routes: [{to: 10.0.0.0/8, dev: lan0, src: ¦10.0.0.1}]",
                "routes[0].src: 10.0.0.1 is not an address of this box",
            ),
            ("routes: [{to: 10.0.0.0/8, dev: lan0, mtu: ¦67}]", "routes[0].mtu: expected 68..65535, got 67"),
            (
                "routes: [{to: fd00::/8, dev: lan0, mtu: ¦1279}]",
                "routes[0].mtu: expected 1280..65535, got 1279",
            ),
            (
                "routes: [{to: 10.0.0.0/8, type: ¦nat}]",
                "routes[0].type: expected unicast, local, broadcast, anycast, multicast, "
                "blackhole, unreachable, prohibit or throw, got nat",
            ),
            (
                "routes: [{to: ¦ten, dev: lan0}]",
                "routes[0].to: expected an address like 192.0.2.1/24, got ten",
            ),
            (
                "routes: [{to: 10.0.0.0/8, dev: lan0, onlink: ¦true}]",
                "routes[0].onlink: onlink is for a route with a gateway",
            ),
            ("neighbours: [¦{address: 192.168.1.9}]", "neighbours[0]: missing key 'dev'"),
            (
                "neighbours: [¦{address: 192.168.1.9, dev: lan0}]",
                "neighbours[0]: missing key 'mac', which a permanent neighbour has",
            ),
            (
                "neighbours: [{address: ¦224.0.0.1, dev: lan0, state: failed}]",
                "neighbours[0].address: expected the address of one host, got 224.0.0.1",
            ),
            (
                "neighbours: [{address: 10.0.0.1, dev: lan0, state: failed}, "
                "¦{address: 10.0.0.1, dev: lan0, state: failed}]",
                "neighbours[1]: there is already such a neighbour on lan0",
            ),
            (
                "neighbours: [{address: 10.0.0.1, dev: lan0, state: ¦gone}]",
                "neighbours[0].state: expected incomplete, reachable, stale, delay, probe, failed, "
                "noarp or permanent, got gone",
            ),
            ("sysctls: ¦[]", "sysctls: expected a mapping, got a list"),
            (
                "sysctls: {net.ipv4.ip_forward: 1, ¦net/ipv4/ip_forward: 1}",
                "sysctls.net/ipv4/ip_forward: this sysctl stands twice",
            ),
            ("sysctls: {net.ipv4.ip_forward: ¦true}", "sysctls.net.ipv4.ip_forward: expected 0..1, got true"),
            ("sysctls: {net.ipv4.ip_forward: ¦1 2}", "sysctls.net.ipv4.ip_forward: expected 0..1, got 1 2"),
            ("sysctls: {¦a\u2028b: 1}", "sysctls.'a\\u2028b': no such sysctl"),
            (
                "services: [{protocol: tcp, port: 1}, ¦{protocol: tcp, port: 1}]",
                "services[1]: there is already such a service",
            ),
            (
                "services: [{protocol: tcp, port: 1, address: ¦10.0.0.9}]",
                "services[0].address: 10.0.0.9 is not an address of this box",
            ),
            (
                "services: [{protocol: tcp, port: ¦99999999999999999999999999999}]",
                "services[0].port: expected 1..65535, got 99999999999999999999999999999",
            ),
        ],
    )
    def test_of_other_sections(self, text, message):
        assert said(LAN + text) == place(LAN + text, message)

    def test_a_bad_device_is_the_only_problem_of_what_needs_it(self):
        text = ROUTER.replace("mac: 02:00:00:00:02:01", "mac: 02:00:00:00:02").replace(
            "addresses: [192.168.1.1/24,", "addresses: [192.168.1.1/99,"
        )
        assert [m.split(": ")[1] for m in messages(text)] == ["devices[0].addresses[0]", "devices[1].mac"]

    def test_link_local_and_unnumbered_addresses_may_repeat(self):
        box = load(
            two(
                "name: a, addresses: [fe80::1/64, 10.0.0.1/24]",
                "name: b, addresses: [fe80::1/64, {address: 10.0.0.1, peer: 10.9.0.1}]",
            )
        )
        assert box.devices["b"].has(packed("10.0.0.1"))


class TestDump:
    def test_of_nothing(self):
        assert dump(load("devices: []")) == "devices: []\n"

    def test_reads_like_what_was_written(self):
        assert (
            dump(load(ROUTER))
            == """\
devices:
  - name: lan0
    ifindex: 2
    mac: "02:00:00:00:01:01"
    mtu: 1500
    addresses:
      - 192.168.1.1/24
      - "2001:db8:1::1/64"
      - "fe80::ff:fe00:101/64"
  - name: wan0
    ifindex: 7
    mac: "02:00:00:00:02:01"
    mtu: 1500
    group: 3
    addrgenmode: none
    addresses:
      - {address: 198.51.100.2/24, broadcast: 198.51.100.7, metric: 5}
      - {address: 10.0.0.1, peer: 10.0.0.2/32, scope: link}
      - {address: "2001:db8:2::1/64", noprefixroute: true, deprecated: true}
  - name: dmz0
    ifindex: 3
    mac: "02:00:00:00:03:01"
    mtu: 1500
    up: false
routes:
  - {to: default, via: 198.51.100.1, dev: wan0}
  - {to: 10.9.0.0/16, type: unreachable}
  - {to: 203.0.113.0/24, via: 203.0.113.1, dev: wan0, src: 192.168.1.1, onlink: true}
  - {to: default, via: "fe80::1", dev: wan0, metric: 7, mtu: 1400}
neighbours:
  - {address: 198.51.100.1, dev: wan0, mac: "02:00:00:00:02:02", state: reachable}
  - {address: "fe80::1", dev: wan0, mac: "02:00:00:00:02:02", state: permanent, router: true}
  - {address: 192.168.1.9, dev: lan0, state: failed}
sysctls:
  net.ipv4.ip_forward: 1
  net.ipv4.conf.wan0.rp_filter: 2
services:
  - {protocol: tcp, port: 22}
  - {protocol: udp, port: 53, address: 192.168.1.1}
"""
        )

    def test_lo_is_written_where_it_is_special(self):
        text = (
            "devices:\n  - name: lo\n    mtu: 65536\n    addresses:\n"
            '      - 127.0.0.1/8\n      - "::1/128"\n      - 10.255.0.1/32\n'
        )
        assert dump(load(text)) == text


def test_the_example_of_the_documentation_is_valid():
    page = (Path(__file__).parents[2] / "docs" / "box-file.md").read_text("utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 1
    box = load(examples[0])
    assert dump(load(dump(box))) == dump(box)
    for key in re.findall(r"^\| `(\w+)`", page, re.MULTILINE):
        assert re.search(rf"\b{key}:|kind: {key}\b", examples[0]), f"{key} is not in the example"
