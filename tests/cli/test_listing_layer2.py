"""Flow entries through stacks of devices, as ``--flows`` lists them."""

from __future__ import annotations

import pytest

from flowtable.cli.listing import ended_line, flow_lines
from flowtable.flows.entry import FlowEntry
from flowtable.flows.teardown import Teardown
from tests.test_agreement_layer2 import talking


@pytest.mark.parametrize(
    ("wan", "around"),
    [
        ("nic", ""),
        ("vlan", " vlan=10"),
        ("pppoe_over_qinq", f" svlan=100 vlan=7 pppoe={0x1234}"),
        ("ipip_over_vlan", " vlan=10 ipip=203.0.113.2"),
    ],
)
def test_what_is_around_packets(wan: str, around: str) -> None:
    rig, _ = talking("bridge", wan)
    port = rig.stacks[1].port.name
    (line,) = flow_lines(rig.box)
    assert f"iif=lan-0 src=10.0.1.99 dst=10.0.2.99 sport=5000 dport=7 oif={port}{around} packets=2" in line
    assert f"iif={port}{around} src=10.0.2.99 dst=10.0.2.1 sport=7 dport=5000 oif=lan-0 packets=2" in line


def test_a_flow_that_ends_with_its_device() -> None:
    """The device is gone by then, its name is not."""
    rig, _ = talking("bridge", "pppoe")
    lines = []

    def note(entry: FlowEntry, reason: Teardown, now: int) -> None:
        lines.append(ended_line(entry, reason, now))

    rig.box._flow_ended = note
    rig.topology.remove_device(rig.topology.devices["wan-0"])
    (line,) = lines
    assert "iif=wan-0 pppoe=4660 src=10.0.2.99" in line
    assert line.split("reason=")[1] in ("ROUTE", "DEVICE", "PATH")
