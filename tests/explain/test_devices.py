"""Which devices to list: the example boxes, and everything that can be wrong with a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtable.explain.devices import Mistake, look_over, sides
from flowtable.ruleset import parse
from flowtable.ruleset.model import Flowtable
from flowtable.topology.boxfile import load

BOXES = sorted((Path(__file__).parents[2] / "examples" / "boxes").glob("*/box.yaml"))

FIBRE = """
devices:
  - {name: eth0, mac: 02:00:00:00:00:01}
  - {name: eth0.7, kind: vlan, parent: eth0, id: 7}
  - name: ppp0
    kind: pppoe
    parent: eth0.7
    session: 17
    peer: 02:00:00:00:09:09
    addresses: [198.51.100.2/32]
  - {name: br0, kind: bridge, mac: 02:00:00:00:00:02, addresses: [192.168.1.1/24]}
  - {name: lan1, mac: 02:00:00:00:00:11, master: br0}
  - {name: lan2, mac: 02:00:00:00:00:12, master: br0}
  - {name: spare, mac: 02:00:00:00:00:13}
  - {name: mv0, kind: macvlan, parent: spare, mac: 02:00:00:00:00:14, addresses: [203.0.113.1/24]}
"""


def flowtable(*devices: str, offload: bool = False) -> Flowtable:
    flags = "flags offload;" if offload else ""
    block = f"hook ingress priority 0; devices = {{ {', '.join(devices)} }}; {flags}"
    (declared,) = parse(f"table inet x {{\nflowtable f {{\n{block}\n}}\n}}\n", "ruleset.nft").flowtables()
    return declared


def found(*devices: str, offload: bool = False) -> list[tuple[Mistake, str | None]]:
    findings = look_over(flowtable(*devices, offload=offload), load(FIBRE))
    return [(finding.mistake, finding.device) for finding in findings]


def test_there_are_fifteen_boxes():
    assert len(BOXES) == 15


@pytest.mark.parametrize("box", BOXES, ids=lambda box: box.parent.name)
def test_the_examples_list_what_is_advised(box):
    topology = load(box.read_text(), str(box))
    (declared,) = parse((box.parent / "ruleset.nft").read_text(), "ruleset.nft").flowtables()
    advised = {port.name for side in sides(topology) for port in side.software}
    assert set(declared.devices) <= advised
    assert look_over(declared, topology) == []


def test_the_bottom_of_each_stack():
    assert {side.routed.name: [port.name for port in side.software] for side in sides(load(FIBRE))} == {
        "ppp0": ["eth0"],
        "br0": ["lan1", "lan2"],
        "mv0": ["mv0"],
    }
    assert [side.hardware for side in sides(load(FIBRE))][2] == ()


@pytest.mark.parametrize(
    ("devices", "mistakes"),
    [
        (("eth0", "lan1", "lan2"), []),
        (("eth0", "lan1", "lan2", "mv0"), []),
        (("ppp0", "lan1", "lan2"), [(Mistake.UPPER, "ppp0")]),
        (("eth0.7", "lan1", "lan2", "mv0"), [(Mistake.UPPER, "eth0.7")]),
        (("eth0", "ppp0", "lan1", "lan2"), [(Mistake.TWICE, "ppp0")]),
        (("eth0", "br0"), [(Mistake.UPPER, "br0"), (Mistake.ONE_SIDED, None)]),
        (("eth0", "lan1"), [(Mistake.MISSING, "lan2")]),
        (("lan1", "lan2"), [(Mistake.ONE_SIDED, None)]),
        (("eth0", "lan1", "lan2", "lan3"), [(Mistake.UNKNOWN, "lan3")]),
        (("eth0", "lan1", "lan2", "spare"), [(Mistake.UPPER, "spare")]),
    ],
)
def test_what_is_wrong(devices, mistakes):
    expected = list(mistakes)
    if devices == ("ppp0", "lan1", "lan2"):
        expected.append((Mistake.ONE_SIDED, None))
    assert found(*devices) == expected


def test_hardware_that_is_none():
    assert found("eth0", "lan1", "lan2", "mv0", offload=True) == [(Mistake.NO_HARDWARE, "mv0")]


def test_names_that_are_nearly_right():
    (finding,) = [
        f for f in look_over(flowtable("eth0", "lan1", "lan2", "eth00"), load(FIBRE)) if f.device == "eth00"
    ]
    assert "did you mean 'eth0'?" in finding.text
