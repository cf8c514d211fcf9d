"""The documentation's last chapters, on its own example.

    "If your network device provides hardware offload support, you can turn it on by means of the
    'offload' flag in your flowtable definition [...]. There is a workqueue that adds the flows to the
    hardware. Note that a few packets might still run over the flowtable software path until the
    workqueue has a chance to offload the flow to the network device. You can identify hardware
    offloaded flows through the [HW_OFFLOAD] tag when listing your connection tracking table."

Ref: Documentation/networking/nf_flowtable.rst, "Hardware offload".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from flowtable.cli.listing import connection_lines, flow_lines
from flowtable.clock import MILLISECOND, SECOND
from flowtable.conntrack.connection import TcpState
from flowtable.flows.hardware import OffloadFailure
from flowtable.flows.teardown import Teardown
from flowtable.offload.bindings import OffloadPolicy
from flowtable.profile import DEFAULT, LINUX_6_12, LINUX_6_18, Profile
from flowtable.router import Box
from flowtable.ruleset import RulesetError, apply, parse
from flowtable.topology.boxfile import load

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "documentation"
RULES = (
    (EXAMPLE / "ruleset.nft")
    .read_text()
    .replace("devices = { eth0, eth1 };", "devices = { eth0, eth1 };\n\t\tflags offload;\n\t\tcounter")
)
PLAIN = (EXAMPLE / "box.yaml").read_text()
CHIP = "{name: nic, ports: [eth0, eth1], insert_latency_us: 1000}"
BOX = f"{PLAIN}\nhardware: {{queue_latency_us: 5000, chips: [{CHIP}]}}\n"
NEIGHBOURS = """
neighbours:
  - {address: 192.0.2.10, dev: eth0, mac: "02:00:00:00:01:10"}
  - {address: 198.51.100.10, dev: eth1, mac: "02:00:00:00:02:10"}
"""
CLIENT, SERVER = "192.0.2.10", "198.51.100.10"
START = 1000 * SECOND
PROFILES = pytest.mark.parametrize("profile", [DEFAULT, LINUX_6_12, LINUX_6_18], ids=lambda p: p.name)


@dataclass
class Talk:
    """A TCP connection through the example's box."""

    profile: Profile = DEFAULT
    box_file: str = BOX
    offload: OffloadPolicy = OffloadPolicy.REQUIRE
    now: int = START
    seq: list[int] = field(default_factory=lambda: [100, 900])
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.box = Box(
            load(self.box_file + NEIGHBOURS, "box.yaml"),
            parse(RULES, "ruleset.nft"),
            profile=self.profile,
            offload=self.offload,
            transmit=lambda device, frame, time: self.sent.append((device.name, frame)),
        )

    def say(self, flags: str = "A", *, reply: bool = False, size: int = 100, after: float = 0.001) -> None:
        """A packet, so many seconds after the one before."""
        self.now += int(after * SECOND)
        size = 0 if set(flags) & set("SFR") else size
        src, dst = (SERVER, CLIENT) if reply else (CLIENT, SERVER)
        sport, dport = (80, 4000) if reply else (4000, 80)
        mine = self.seq[reply]
        header = TCP(sport=sport, dport=dport, flags=flags, seq=mine, ack=self.seq[not reply], window=60000)
        packet = IP(src=src, dst=dst) / header / (b"x" * size)
        self.seq[reply] += size + bool(set(flags) & set("SF"))
        device = self.box.topology.devices["eth1" if reply else "eth0"]
        ether = Ether(dst=device.mac.hex(":"), src="02:00:00:00:02:10" if reply else "02:00:00:00:01:10")
        self.box.receive(device, bytes(ether / packet), self.now)

    def greet(self) -> None:
        self.say("S")
        self.say("SA", reply=True)
        self.say("A", size=0)

    @property
    def listed(self) -> str:
        return next(iter(connection_lines(self.box)))

    @property
    def status(self) -> str:
        return self.listed.split("] mark")[0].split("[")[-1]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Packets on the classic path, on the fast path in software, and in hardware."""
        statistics = self.box.statistics
        return statistics.forward, statistics.bypass, statistics.hardware


@PROFILES
def test_a_few_packets_pass_in_software_until_the_queue_has_run_then_none(profile: Profile) -> None:
    talk = Talk(profile)
    talk.greet()
    assert talk.status == "OFFLOAD"
    for turn in range(30):
        talk.say(reply=bool(turn % 2))
    # 5 ms in the queue, 1 ms in the driver: packets 1 to 5 come before.
    assert talk.counts == (3, 5, 25)
    assert talk.status == "HW_OFFLOAD"
    assert len(talk.sent) == 33, "and each of them left the box's wires"
    for turn in range(100):
        talk.say(reply=bool(turn % 2))
    assert talk.counts == (3, 5, 125), "software's count stands still, hardware's goes on"
    assert not talk.box.statistics.drops


def test_the_listing_tells_where_each_direction_runs() -> None:
    talk = Talk()
    talk.greet()
    (line,) = flow_lines(talk.box)
    assert line.count("in=software") == 2 and "[OFFLOAD]" in line
    for turn in range(20):
        talk.say(reply=bool(turn % 2))
    (line,) = flow_lines(talk.box)
    assert line.count("in=nic since=0.014") == 2
    assert "packets=3 bytes=420 in=nic since=0.014 hw_packets=7 hw_bytes=980" in line
    assert "[HW_OFFLOAD]" in line
    talk = Talk(box_file=BOX.replace("[eth0, eth1]", "[eth0]"), offload=OffloadPolicy.PREFER)
    talk.greet()
    talk.say(after=1)
    (line,) = flow_lines(talk.box)
    assert line.count("in=software") == 2
    assert "failure=EGRESS_PORT" in line and "failure=INGRESS_PORT" in line


@PROFILES
def test_hardware_s_statistics_keep_the_flow_alive_and_let_it_expire(profile: Profile) -> None:
    talk = Talk(profile)
    talk.greet()
    for turn in range(40):
        talk.say(reply=bool(turn % 2), after=10)
    assert talk.counts[:2] == (3, 0)
    assert talk.status == "HW_OFFLOAD"
    talk.box.advance(talk.now + 29 * SECOND)
    assert talk.status == "HW_OFFLOAD"
    talk.box.advance(talk.now + 35 * SECOND)
    assert talk.box.statistics.teardowns == {Teardown.IDLE: 1}
    assert talk.status == "ASSURED"
    assert talk.box.chips is not None and not len(talk.box.chips.switches[0])
    packets = sum(int(word.split("=")[1]) for word in talk.listed.split() if word.startswith("packets="))
    assert packets == 43, "three on the classic path, the others counted by the chip"


@PROFILES
@pytest.mark.parametrize("flags", ["FA", "RA"])
def test_fin_and_rst_end_it_through_the_processor(profile: Profile, flags: str) -> None:
    talk = Talk(profile)
    talk.greet()
    for _ in range(10):
        talk.say()
    before = talk.counts
    talk.say(flags)
    assert talk.counts[2] == before[2], "the chip does not match it"
    if profile is LINUX_6_18:
        assert talk.counts[1] == before[1] + 1 and not talk.box.statistics.teardowns
    else:
        assert talk.counts[0] == before[0] + 1
        assert talk.box.statistics.teardowns == {Teardown.FIN if flags == "FA" else Teardown.RST: 1}
        connection = next(iter(talk.box.conntrack))
        assert connection.tcp is not None
        if flags == "FA":
            assert connection.tcp.state == TcpState.FIN_WAIT
        elif profile is DEFAULT:
            assert connection.tcp.state == TcpState.CLOSE, "6.12 judges a RST by numbers of before"
    talk.box.advance(talk.now + 3 * SECOND)
    assert talk.status == ("OFFLOAD" if profile is LINUX_6_18 else "ASSURED")
    assert talk.box.chips is not None and not len(talk.box.chips.switches[0])


def test_a_device_without_support_fails_the_load() -> None:
    with pytest.raises(RulesetError) as caught:
        Talk(box_file=PLAIN)
    assert str(caught.value) == (
        "ruleset.nft:4:12-12: Error: Could not process rule: Operation not supported\n"
        "\tflowtable f {\n"
        "\t          ^\n"
        "hint: 'eth0', 'eth1' have no hardware that takes flows; leave 'flags offload' out,"
        " or let software have those devices: --offload=prefer"
    )
    with pytest.raises(RulesetError, match=r"hint: 'eth1' has no .* \(the other devices .* have\)"):
        Talk(box_file=BOX.replace("[eth0, eth1]", "[eth0]"))


@pytest.mark.parametrize("policy", [OffloadPolicy.PREFER, OffloadPolicy.OFF])
def test_or_software_has_it(policy: OffloadPolicy) -> None:
    talk = Talk(box_file=PLAIN, offload=policy)
    talk.greet()
    for _ in range(20):
        talk.say()
    assert talk.counts == (3, 20, 0)
    assert talk.status == "OFFLOAD"
    assert [each.device for each in talk.box.bindings.refused] == (
        ["eth0", "eth1"] if policy is OffloadPolicy.PREFER else []
    )


def test_off_leaves_the_chip_alone() -> None:
    talk = Talk(offload=OffloadPolicy.OFF)
    talk.greet()
    talk.say(after=1)
    assert talk.counts == (3, 1, 0)


def test_new_rules_are_held_to_the_hardware_as_well() -> None:
    talk = Talk(box_file=BOX.replace("devices:", "devices:\n  - {name: tun9, mac: 02:00:00:00:03:01}", 1))
    talk.greet()
    talk.say(after=1)
    more = "flowtable ip y g { hook ingress priority 1; devices = { tun9 }; flags offload; }"
    worse = apply(talk.box.ruleset, f"add table ip y; add {more}", "more.nft")
    with pytest.raises(RulesetError, match="Operation not supported"):
        talk.box.load(worse)
    talk.say()
    assert talk.counts == (3, 0, 2), "and nothing has changed"
    talk.box.load(apply(talk.box.ruleset, "flush chain inet x y; delete flowtable inet x f", "less.nft"))
    assert talk.box.chips is not None and not len(talk.box.chips.switches[0])


def test_a_driver_goes_away() -> None:
    talk = Talk()
    talk.greet()
    talk.say(after=1)
    talk.box.lose("nic")
    assert talk.box.statistics.teardowns == {Teardown.DRIVER: 1}
    for _ in range(5):
        talk.say()
    talk.box.advance(talk.now + SECOND)
    assert talk.counts == (4, 4, 1)
    assert talk.status == "OFFLOAD"
    assert talk.box.flowtables.work.failures[OffloadFailure.DRIVER_GONE] >= 2


def test_latency_is_that_of_the_box_file() -> None:
    talk = Talk(box_file=BOX.replace("queue_latency_us: 5000", "queue_latency_us: 20000"))
    talk.greet()
    for _ in range(30):
        talk.say()
    assert talk.counts == (3, 20, 10)
    assert talk.box.topology.hardware.queue_latency == 20 * MILLISECOND
