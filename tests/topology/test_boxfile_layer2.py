"""Box files of devices that stand on others: what they say, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from flowtable.clock import SECOND
from flowtable.topology.bond import Bond, BondMode, XmitHashPolicy
from flowtable.topology.boxfile import dump, load
from flowtable.topology.bridge import Bridge, PortState, VlanTable
from flowtable.topology.device import DeviceKind
from flowtable.topology.dsa import DsaPort, TagProtocol
from flowtable.topology.macvlan import Macvlan, MacvlanMode
from flowtable.topology.pppoe import Pppoe
from flowtable.topology.tunnel import Tunnel
from flowtable.topology.vlan import Vlan
from flowtable.topology.vrf import Vrf
from tests.topology.boxes import packed
from tests.topology.test_boxfile import place, said

LAYER2 = """\
devices:
  - {name: ppp0, kind: pppoe, parent: eth0.7, session: 17, peer: 02:00:00:00:09:09}
  - {name: eth0.7, kind: vlan, parent: eth0, id: 7}
  - {name: eth0.7.8, kind: vlan, parent: eth0.7, id: 8, protocol: 802.1ad, mac: 02:00:00:00:00:78, mtu: 1400}
  - {name: eth0, mac: 02:00:00:00:00:01}
  - {name: br0, kind: bridge, vlan_filtering: true, ageing_time: 60, vlans: [{id: 1, pvid: true}, 20]}
  - {name: lan1, mac: 02:00:00:00:00:12, mtu: 1400, master: br0}
  - name: lan2
    kind: dsa
    parent: eth1
    port: 2
    tag: mtk
    mac: 02:00:00:00:00:11
    master: br0
    state: blocking
    learning: false
    isolated: true
    vlans: [{id: 10, pvid: true, untagged: true}, {id: "30-32"}, 40]
  - {name: eth1, mac: 02:00:00:00:00:02}
  - {name: br0.20, kind: vlan, parent: br0, id: 20}
  - {name: mac0, kind: macvlan, parent: eth0, mac: 02:00:00:00:00:03, mode: bridge}
  - {name: bond0, kind: bond, mode: active-backup, active: eth3}
  - {name: eth2, mac: 02:00:00:00:00:22, master: bond0}
  - {name: eth3, mac: 02:00:00:00:00:23, master: bond0}
  - {name: bond1, kind: bond, mode: 802.3ad, xmit_hash_policy: layer3+4, mac: 02:00:00:00:00:bb}
  - {name: vrf1, kind: vrf, table: 10}
  - {name: eth4, mac: 02:00:00:00:00:24, master: vrf1}
  - {name: tun0, kind: ipip, local: 192.0.2.1, remote: 192.0.2.2, parent: lan1}
  - {name: tun1, kind: ip6ip6, local: "2001:db8::1", remote: "2001:db8::2"}
  - {name: tun2, kind: ip6ip6, local: "2001:db8::1", remote: "2001:db8::3", encaplimit: none, ttl: inherit}
  - {name: tun3, kind: sit, local: 192.0.2.1, remote: 192.0.2.3, ttl: 255}
fdb:
  - {mac: 02:00:00:00:00:aa, dev: lan1, vlan: 1, state: static}
  - {mac: 02:00:00:00:00:ab, dev: lan2}
  - {mac: 02:00:00:00:00:ac, dev: br0, vlan: 0, state: permanent}
"""


class TestLoad:
    def test_the_order_of_the_file_does_not_matter(self):
        box = load(LAYER2)
        ppp, vlan, inner = (box.devices[name] for name in ("ppp0", "eth0.7", "eth0.7.8"))
        assert isinstance(ppp, Pppoe)
        assert isinstance(vlan, Vlan)
        assert isinstance(inner, Vlan)
        assert (ppp.lower, vlan.lower, inner.lower) == (vlan, box.devices["eth0"], vlan)
        assert [device.index for device in (ppp, vlan, inner, box.devices["eth0"])] == [2, 3, 4, 5]

    def test_stacked_devices_take_after_the_one_below(self):
        box = load(LAYER2)
        shown = {name: (box.devices[name].mac.hex(":"), box.devices[name].mtu) for name in box.devices}
        assert shown["eth0.7"] == ("02:00:00:00:00:01", 1500)
        assert shown["eth0.7.8"] == ("02:00:00:00:00:78", 1400)
        assert shown["ppp0"] == ("00:00:00:00:00:00", 1492)
        assert shown["br0"] == shown["br0.20"] == ("02:00:00:00:00:11", 1400)
        assert shown["bond0"] == shown["eth3"] == ("02:00:00:00:00:22", 1500)
        assert [shown[f"tun{i}"][1] for i in range(4)] == [1380, 1452, 1460, 1480]
        assert shown["vrf1"][1] == 65575

    def test_kinds(self):
        box = load(LAYER2)
        ppp, inner, lan2, mac0, vrf = (
            box.devices[name] for name in ("ppp0", "eth0.7.8", "lan2", "mac0", "vrf1")
        )
        assert isinstance(ppp, Pppoe)
        assert (ppp.session, ppp.peer.hex()) == (17, "020000000909")
        assert isinstance(inner, Vlan)
        assert (inner.vid, inner.protocol) == (8, 0x88A8)
        assert isinstance(lan2, DsaPort)
        assert (lan2.port, lan2.tag) == (2, TagProtocol.MTK)
        assert isinstance(mac0, Macvlan)
        assert mac0.mode is MacvlanMode.BRIDGE
        assert isinstance(vrf, Vrf)
        assert (vrf.table, box.devices["eth4"].master) == (10, vrf)

    def test_bridges(self):
        box = load(LAYER2)
        bridge = box.devices["br0"]
        assert isinstance(bridge, Bridge)
        assert (bridge.vlan_filtering, bridge.ageing_time) == (True, 60 * SECOND)
        assert bridge.vlans == VlanTable({1: False, 20: False}, 1)
        lan1, lan2 = bridge.ports.values()
        assert lan1.vlans == VlanTable({1: True}, 1)
        assert (lan2.state, lan2.learning, lan2.isolated, lan2.flood) == (
            PortState.BLOCKING,
            False,
            True,
            True,
        )
        assert lan2.vlans == VlanTable({10: True, 30: False, 31: False, 32: False, 40: False}, 10)

    def test_bonds(self):
        box = load(LAYER2)
        bond0, bond1 = box.devices["bond0"], box.devices["bond1"]
        assert isinstance(bond0, Bond)
        assert isinstance(bond1, Bond)
        assert [slave.name for slave in bond0.slaves] == ["eth2", "eth3"]
        assert bond0.active is box.devices["eth3"]
        assert (bond1.mode, bond1.policy) == (BondMode.LACP, XmitHashPolicy.LAYER34)

    def test_tunnels(self):
        box = load(LAYER2)
        tunnels = [device for device in box.devices.values() if isinstance(device, Tunnel)]
        assert [(t.kind, t.ttl, t.encaplimit) for t in tunnels] == [
            (DeviceKind.IPIP, 0, None),
            (DeviceKind.IP6IP6, 64, 4),
            (DeviceKind.IP6IP6, 0, None),
            (DeviceKind.SIT, 255, None),
        ]
        assert (tunnels[0].local, tunnels[0].lower) == (packed("192.0.2.1"), box.devices["lan1"])

    def test_fdb(self):
        bridge = load(LAYER2).devices["br0"]
        assert isinstance(bridge, Bridge)
        stated = [(e.mac[-1], e.vid, e.port and e.port.device.name, e.state.value) for e in bridge.fdb]
        assert [entry for entry in stated if entry[0] >= 0xAA] == [
            (0xAA, 1, "lan1", "static"),
            *((0xAB, vid, "lan2", "dynamic") for vid in (0, 10, 30, 31, 32, 40)),
            (0xAC, 0, None, "permanent"),
        ]

    def test_round_trip(self):
        text = dump(load(LAYER2))
        assert dump(load(text)) == text
        assert '    vlans: [{id: 10, pvid: true, untagged: true}, {id: "30-32"}, {id: 40}]\n' in text
        assert '  - {mac: "02:00:00:00:00:aa", dev: lan1, vlan: 1, state: static}\n' in text

    def test_an_address_in_two_vrfs(self):
        text = (
            "devices:\n- {name: red, kind: vrf, table: 1}\n- {name: blue, kind: vrf, table: 2}\n"
            "- {name: e, mac: 02:00:00:00:00:01, master: red, addresses: [10.0.0.1/24]}\n"
            "- {name: f, mac: 02:00:00:00:00:02, master: blue, addresses: [10.0.0.1/24]}\n"
        )
        assert dump(load(dump(load(text)))) == dump(load(text))
        before, _, after = text.replace("master: blue", "master: red").rpartition("10.0.0.1")
        marked = f"{before}¦10.0.0.1{after}"
        assert said(marked) == place(marked, "devices[3].addresses[0]: e has this address already")

    def test_a_device_waits_for_the_one_below(self):
        text = (
            "devices:\n- {name: eth0, mac: 02:00:00:00:00:01, up: false}\n"
            "- {name: eth0.7, kind: vlan, parent: eth0, id: 7}"
        )
        box = load(text)
        assert not box.devices["eth0.7"].up
        again = load(dump(box))
        again.set_link(again.devices["eth0"], up=True)
        assert again.devices["eth0.7"].up


ETH = "- {name: e, mac: 02:00:00:00:00:01}\n- {name: f, mac: 02:00:00:00:00:02}\n"
BRIDGE = f"devices:\n{ETH}- {{name: b, kind: bridge, vlan_filtering: true, mac: 02:00:00:00:00:03}}\n"


class TestErrors:
    @pytest.mark.parametrize(
        ("device", "message"),
        [
            (
                "kind: vlan, parent: ¦eth9, id: 1",
                "devices[2].parent: unknown device 'eth9'; expected e, f, lo, x",
            ),
            ("kind: vlan, parent: e, id: ¦4095", "devices[2].id: expected 0..4094, got 4095"),
            ("kind: vlan, parent: ¦lo, id: 1", "devices[2].parent: VLANs not supported on device lo"),
            ("kind: vlan, parent: e, id: 1, mtu: ¦1501", "devices[2].mtu: e has 1500, so at most 1500"),
            (
                "kind: vlan, parent: e, id: 1, protocol: ¦802.1x",
                "devices[2].protocol: expected 802.1Q or 802.1ad, got 802.1x",
            ),
            ("kind: vlan, parent: ¦x, id: 1", "devices[2].parent: x stands on itself"),
            (
                "kind: pppoe, parent: e, session: ¦65535, peer: 02:00:00:00:00:09",
                "devices[2].session: expected 1..65534, got 65535",
            ),
            (
                "kind: pppoe, parent: e, session: 1, peer: 02:00:00:00:00:09, mtu: ¦1500",
                "devices[2].mtu: e has 1500, so at most 1492",
            ),
            (
                "kind: dsa, parent: e, port: ¦6, tag: mtk",
                "devices[2].port: a mtk tag names ports 0..5",
            ),
            (
                "kind: dsa, parent: e, port: 1, tag: ¦ocelot",
                "devices[2].tag: expected dsa, edsa, mtk or brcm, got ocelot",
            ),
            (
                "kind: macvlan, parent: e, mac: ¦02:00:00:00:00:01",
                "devices[2].mac: e or another of its macvlans has this MAC address",
            ),
            (
                "kind: macvlan, parent: e, mode: passthru, mac: ¦02:00:00:00:00:09",
                "devices[2].mac: a passthru macvlan has the MAC address of e",
            ),
            (
                "kind: bond, mode: 802.3ad, ¦active: e, mac: 02:00:00:00:00:09",
                "devices[2].active: active is not for mode 802.3ad",
            ),
            (
                "kind: bond, mode: active-backup, active: ¦e, mac: 02:00:00:00:00:09",
                "devices[2].active: e is no slave of x that is up",
            ),
            ("kind: vrf, table: ¦0", "devices[2].table: expected 1..4294967295, got 0"),
            (
                'kind: ipip, local: 192.0.2.1, remote: ¦"2001:db8::1"',
                "devices[2].remote: expected an IPv4 address, got '2001:db8::1'",
            ),
            (
                "kind: sit, local: 192.0.2.1, remote: 192.0.2.2, ¦encaplimit: 4",
                "devices[2]: unknown key 'encaplimit'; expected name, kind, ifindex, mtu, up, group, "
                "addresses, parent, local, remote, ttl, master, state, learning, flood, mcast_flood, "
                "bcast_flood, hairpin, isolated, vlans",
            ),
            ("mac: 02:00:00:00:00:09, master: ¦e", "devices[2].master: e is no bridge, bond or VRF"),
            (
                "mac: 02:00:00:00:00:09, ¦hairpin: true",
                "devices[2].hairpin: hairpin is for the ports of a bridge",
            ),
            ("mac: ¦02:00:00:00:00:01", "devices[2].mac: e has this MAC address already"),
        ],
    )
    def test_of_kinds(self, device, message):
        text = f"devices:\n{ETH}- {{name: x, {device}}}"
        assert said(text) == place(text, message)

    @pytest.mark.parametrize(
        ("port", "message"),
        [
            (
                "vlans: [{id: 1, pvid: true}, {id: 2, pvid: ¦true}]",
                "devices[3].vlans[1].pvid: VLAN 1 is the PVID already",
            ),
            (
                'vlans: [{id: "2-3", pvid: ¦true}]',
                "devices[3].vlans[0].pvid: pvid cannot be configured for a vlan range",
            ),
            ("vlans: [¦3-2]", "devices[3].vlans[0]: expected a range within 1-4094, got 3-2"),
            ("vlans: [¦0-2]", "devices[3].vlans[0]: expected a range within 1-4094, got 0-2"),
            ("vlans: [2-4, ¦4]", "devices[3].vlans[1]: VLAN 4 is there already"),
            ("vlans: [¦4095]", "devices[3].vlans[0]: expected 1..4094, got 4095"),
            ("vlans: [{id: ¦x}]", "devices[3].vlans[0].id: expected 1..4094, got x"),
            (
                "state: ¦fwd",
                "devices[3].state: expected disabled, listening, learning, forwarding or blocking, got fwd",
            ),
            ("learning: ¦on", "devices[3].learning: expected true or false, got on"),
        ],
    )
    def test_of_ports(self, port, message):
        text = f"{BRIDGE}- {{name: p, mac: 02:00:00:00:00:04, master: b, {port}}}"
        assert said(text) == place(text, message)

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ("mac: 02:00:00:00:00:aa, dev: ¦e", "fdb[0].dev: e is no port of a bridge"),
            ("mac: 02:00:00:00:00:aa, dev: p, vlan: ¦2", "fdb[0].vlan: p is not in VLAN 2"),
            (
                "mac: ¦01:00:00:00:00:aa, dev: p",
                "fdb[0].mac: expected the MAC address of one station, got 01:00:00:00:00:aa",
            ),
            (
                "mac: 02:00:00:00:00:aa, dev: p, state: ¦stale",
                "fdb[0].state: expected permanent, static or dynamic, got stale",
            ),
        ],
    )
    def test_of_the_fdb(self, entry, message):
        text = f"{BRIDGE}- {{name: p, mac: 02:00:00:00:00:04, master: b}}\nfdb: [{{{entry}}}]"
        assert said(text) == place(text, message)

    def test_an_entry_stands_once(self):
        text = (
            f"{BRIDGE}- {{name: p, mac: 02:00:00:00:00:04, master: b}}\nfdb:\n"
            "- {mac: 02:00:00:00:00:aa, dev: p}\n- ¦{mac: 02:00:00:00:00:aa, dev: p, vlan: 1}"
        )
        assert said(text) == place(text, "fdb[1]: p has such an entry already")

    def test_a_loop_by_way_of_a_bridge(self):
        text = (
            "devices:\n- {name: b, kind: bridge, mac: 02:00:00:00:00:03, mtu: 1500}\n"
            "- {name: v, kind: vlan, parent: b, id: 1, master: ¦b}"
        )
        assert said(text) == place(text, "devices[1].master: v stands on b")
        text = "devices:\n- {name: b, kind: bridge}\n- {name: v, kind: vlan, parent: ¦b, id: 1, master: b}"
        assert said(text) == place(text, "devices[1].parent: v stands on itself")

    def test_a_loop_of_parents(self):
        text = "devices:\n- {name: a, kind: vlan, parent: b, id: 1}\n"
        text += "- {name: b, kind: vlan, parent: ¦a, id: 1}\n"
        assert said(text) == place(text, "devices[1].parent: b stands on itself")

    def test_a_bridge_without_ports_needs_a_mac_address(self):
        text = "devices:\n- ¦{name: b, kind: bridge}"
        assert said(text) == place(text, "devices[0]: missing key 'mac'")

    def test_what_follows_from_another_problem_is_not_reported(self):
        text = (
            f"devices:\n{ETH}- {{name: v, kind: vlan, parent: e, id: ¦x}}\n"
            "- {name: p, kind: pppoe, parent: v, session: 1, peer: 02:00:00:00:00:09}\n"
            "- {name: b, kind: bond, mode: active-backup, active: v}\n"
        )
        assert place(text, "devices[2].id: expected 0..4094, got x") == said(text)[:1]

    def test_slaves_have_the_mtu_of_the_bond(self):
        text = (
            f"devices:\n{ETH}- {{name: b, kind: bond, mode: balance-xor}}\n"
            "- {name: s, mac: 02:00:00:00:00:05, master: b, mtu: ¦1400}\n"
        )
        assert said(text) == place(text, "devices[3].mtu: b has 1500, and so have its slaves")

    def test_slaves_have_no_ipv6_addresses(self):
        text = (
            f"devices:\n{ETH}- {{name: b, kind: bond, mode: balance-xor}}\n"
            "- {name: s, mac: 02:00:00:00:00:05, master: b, addresses: ¦[2001:db8::1/64]}\n"
        )
        assert said(text) == place(text, "devices[3].addresses: IPv6 is with b, not with its slaves")

    def test_many_devices_on_each_other(self):
        rows = [f"- {{name: v{i}, kind: vlan, parent: v{i + 1}, id: 1}}\n" for i in range(3000)]
        text = "devices:\n" + "".join(rows) + "- {name: v3000, mac: 02:00:00:00:00:05}\n"
        assert any("Too many links" in line for line in said(text))
