"""What test_mirror.py and test_snapshot.py test, for the devices that not every kernel has.

Run by name, on a kernel with VLANs, PPPoE, VLAN filtering, bonds and tunnels: ``make oracle-mirror``.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from ruamel.yaml import YAML

from flowtable.live.mirror.mirror import Mirror
from flowtable.topology.boxfile import load
from scenarios.machine.machine import Machine
from scenarios.machine.namespace import MachineError
from tests.live.host import disagreement, host, run
from tests.live.hosts import in_namespace
from tests.live.test_snapshot import EXAMPLES, said, taken

BOXES = sorted((EXAMPLES / "boxes").glob("*/box.yaml"))
IMPOSSIBLE = {"dsa-switch", "tunnel-broker", "vrf-pe"}
"""A switch chip cannot be made out of nothing, and that kernel has neither sit nor VRFs."""


@pytest.mark.parametrize("path", BOXES, ids=lambda path: path.parent.name)
@in_namespace
def test_a_host_built_from_a_box_file_has_that_box_file(path):
    if path.parent.name in IMPOSSIBLE:
        pytest.skip("the kernel cannot build it")
    text = path.read_text()
    box = YAML(typ="safe", pure=True).load(text)
    for device in box["devices"]:
        if "vlans" in device:
            device["vlans"] = [vlan if isinstance(vlan, dict) else {"id": vlan} for vlan in device["vlans"]]
    with Machine(box, "") as machine, machine.near.inside():
        written = taken()
    assert "Left out" not in written, written
    was, is_ = said(load(text)), said(load(written))
    for part in was:
        assert is_[part] == was[part], written


NAMES = ("d0", "d1", "d2", "d3")
COMMANDS = (
    "link set {d} up",
    "link set {d} down",
    "link set {d} address 02:00:00:00:{n:02x}:0{m}",
    "link set {d} mtu {mtu}",
    "link add v{n} link {d} type vlan id {n}",
    "link add q{n} link v{m} type vlan id {n} protocol 802.1ad",
    "link set v{n} up",
    "link set q{n} up",
    "address add 10.{n}.1.{m}/24 dev v{n}",
    "route add 172.16.{n}.0/24 via 10.{m}.1.77",
    "link del v{n}",
    "link add br{m} type bridge vlan_filtering 1",
    "link set br{m} type bridge vlan_filtering {bit}",
    "link set br{m} type bridge vlan_default_pvid {n}",
    "link set br{m} up",
    "link set {d} master br{m}",
    "link set v{n} master br{m}",
    "link set {d} nomaster",
    "link del br{m}",
    "bridge vlan add dev {d} vid {n}",
    "bridge vlan add dev {d} vid 1{n}-2{n} untagged",
    "bridge vlan add dev {d} vid {n} pvid untagged",
    "bridge vlan del dev {d} vid {n}",
    "bridge vlan del dev {d} vid 12-15",
    "bridge vlan add dev br{m} vid {n} self",
    "bridge vlan add dev br{m} vid {n} pvid untagged self",
    "bridge vlan del dev br{m} vid {n} self",
    "bridge fdb replace 02:00:00:00:01:{n:02x} dev {d} master static vlan {n}",
    "bridge fdb del 02:00:00:00:01:{n:02x} dev {d} master vlan {n}",
    "link add b{m} type bond mode active-backup miimon 10",
    "link add b{m} type bond mode 802.3ad xmit_hash_policy layer3+4",
    "link set {d} down master b{m}",
    "link set b{m} type bond active_slave {d}",
    "link set b{m} up",
    "link del b{m}",
    "link add t{n} type ipip local 10.{n}.1.1 remote 10.{m}.1.9",
    "link add t{n} type ip6tnl mode ip6ip6 local 2001:db8::{n} remote 2001:db8::{m} encaplimit none",
    "link add t{n} type sit local 10.{n}.1.1 remote 10.{m}.1.8 ttl 64",
    "tunnel change t{n} mode ipip remote 10.9.1.{m}",
    "link set t{n} up",
    "address add 10.20{n}.1.1/30 dev t{n}",
    "link del t{n}",
    "link add r{m} type vrf table 10{m}",
    "link set r{m} up",
    "link set {d} master r{m}",
    "link set v{n} master r{m}",
    "link del r{m}",
    "link add dum{m} type dummy",
    "link add mac{n} link {d} type macvlan mode private",
    "link set mac{n} type macvlan mode vepa",
)


@pytest.mark.parametrize("seed", range(3))
@in_namespace
def test_after_any_commands_it_is_what_a_fresh_one_is(seed):
    chance = random.Random(seed)
    base = [
        line for name in NAMES for line in (f"link add {name} type veth peer {name}x", f"link set {name}x up")
    ]
    with host(*base) as namespace, Mirror() as mirror:
        for _ in range(8):
            done = []
            for _ in range(25):
                line = chance.choice(COMMANDS).format(
                    d=chance.choice(NAMES),
                    n=chance.randint(1, 5),
                    m=chance.randint(1, 3),
                    mtu=chance.choice((1280, 1400, 1500, 9000)),
                    bit=chance.randint(0, 1),
                )
                done.append(line)
                # What is not possible at that moment the kernel refuses.
                with suppress(MachineError):
                    run(namespace, line)
            assert disagreement(mirror) == [], done
        assert mirror.overruns == 0
