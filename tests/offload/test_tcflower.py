"""The driver for tc, with a tc that notes what it is told; ``make oracle-hardware`` has the real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from flowtable.clock import SECOND
from flowtable.flows.hardware import Failure, OffloadFailure, Placed, Reading
from flowtable.offload.rule import Cookie, Match, Redirect, Rule
from flowtable.offload.tcflower.driver import CHAIN, FilterStats, TcFlower
from flowtable.packet import packet as wire
from flowtable.topology.device import Device

EAST = Device("east", 2, mac=b"\2\0\0\0\0\1")
WEST = Device("west", 3, mac=b"\2\0\0\0\0\2")


@dataclass
class Tc:
    """Fails commands that begin with one of ``failing``."""

    failing: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    counted: dict[int, FilterStats] = field(default_factory=dict)
    reads: int = 0
    software_only: set[str] = field(default_factory=set)

    def batch(self, commands: Sequence[str]) -> dict[int, str]:
        self.said += commands
        failed = {}
        for number, command in enumerate(commands):
            for start, message in self.failing.items():
                if start in command:
                    failed[number] = message
        return failed

    def filters(self, device: str, chain: int) -> dict[int, FilterStats]:
        assert chain == CHAIN
        self.reads += 1
        return self.counted

    def refuses(self, device: str) -> str | None:
        return "hw-tc-offload: off [fixed]" if device in self.software_only else None


def rule(number: int = 1, dport: int = 53, ingress: Device = EAST) -> Rule:
    match = Match(ingress, 0x0800, wire.UDP, bytes(4), bytes(4), (1000, dport), 0)
    return Rule(Cookie(number, 0), 0, match, (Redirect(WEST),))


@pytest.fixture
def tc() -> Tc:
    return Tc()


@pytest.fixture
def driver(tc: Tc) -> TcFlower:
    driver = TcFlower(tc)
    assert driver.bind(EAST) is None
    tc.said.clear()
    return driver


def test_a_bound_device_leads_to_a_chain_of_ours_without_what_was_left_there(tc: Tc) -> None:
    assert TcFlower(tc).bind(EAST) is None
    assert tc.said == [
        "qdisc add dev east clsact",
        f"filter del dev east ingress chain 0 pref {CHAIN}",
        f"filter del dev east ingress chain {CHAIN}",
        f"filter add dev east ingress chain 0 pref {CHAIN} protocol all"
        f" flower skip_sw action goto chain {CHAIN}",
    ]


def test_devices_that_cannot(tc: Tc) -> None:
    tc.software_only = {"east"}
    refused = Failure(OffloadFailure.NO_DRIVER, "tc", "hw-tc-offload: off [fixed]")
    assert TcFlower(tc).refuses(EAST) == TcFlower(tc).bind(EAST) == refused
    assert TcFlower(tc, skip_hw=True).bind(EAST) is None, "software can"
    tc.failing = {"goto": "Operation not supported"}
    tc.said.clear()
    assert TcFlower(tc).bind(WEST) == Failure(OffloadFailure.NO_DRIVER, "tc", "Operation not supported")
    assert tc.said[-1] == "qdisc del dev west clsact"


def test_the_qdisc_of_somebody_else_stays(tc: Tc) -> None:
    tc.failing = {"qdisc add": "Exclusivity flag on, cannot modify"}
    driver = TcFlower(tc)
    assert driver.bind(EAST) is None
    driver.unbind(EAST)
    assert not any(command.startswith("qdisc del") for command in tc.said)


def test_two_flowtables_bind_once(tc: Tc, driver: TcFlower) -> None:
    assert driver.bind(EAST) is None
    driver.replace(rule(), 0)
    driver.unbind(EAST)
    assert not any("del" in command for command in tc.said)
    driver.unbind(EAST)
    assert tc.said[-3:] == [
        f"filter del dev east ingress chain 0 pref {CHAIN}",
        f"filter del dev east ingress chain {CHAIN}",
        "qdisc del dev east clsact",
    ]
    assert driver.destroy(Cookie(1, 0), 0) == Failure(OffloadFailure.NOT_FOUND, "tc")


def test_a_rule_comes_behind_the_guard_of_its_shape(tc: Tc, driver: TcFlower) -> None:
    assert driver.replace(rule(1), 7) == Placed("tc", 7)
    assert driver.replace(rule(2, 54), 7) == Placed("tc", 7)
    start = f"filter add dev east ingress chain {CHAIN} protocol ip"
    assert tc.said[0] == f"{start} pref 1 flower skip_sw ip_ttl 0/0xfe action pass"
    assert tc.said[1].startswith(f"{start} pref 2 handle 0x2 flower skip_sw ip_proto udp ")
    assert tc.said[2].startswith(f"{start} pref 2 handle 0x4 flower skip_sw ip_proto udp ")
    assert driver.replace(rule(2, 54), 8) == Placed("tc", 8)
    assert len(tc.said) == 3, "an equal one changes nothing"
    assert driver.replace(rule(2, 55), 9) == Placed("tc", 9)
    assert tc.said[3] == f"filter del dev east ingress chain {CHAIN} protocol ip pref 2 handle 0x4 flower"
    assert "dst_port 55" in tc.said[4]


def test_what_is_refused_is_told_in_the_kernel_s_words(tc: Tc, driver: TcFlower) -> None:
    tc.failing = {"handle": "mlx5_core: Failed to offload; Operation not supported"}
    failure = Failure(OffloadFailure.DRIVER, "tc", "mlx5_core: Failed to offload; Operation not supported")
    assert driver.replace(rule(), 0) == failure
    assert driver.replace(rule(3, ingress=WEST), 0) == Failure(OffloadFailure.INGRESS_PORT, "tc", "west")
    assert driver.stats(Cookie(1, 0), 0) == Failure(OffloadFailure.NOT_FOUND, "tc")
    tc.failing = {}
    assert driver.replace(rule(), 0) == Placed("tc", 0)


def test_a_guard_that_was_refused_is_tried_again(tc: Tc, driver: TcFlower) -> None:
    tc.failing = {"ip_ttl": "Operation not supported"}
    assert isinstance(driver.replace(rule(), 0), Failure)
    tc.failing = {}
    tc.said.clear()
    assert isinstance(driver.replace(rule(), 0), Placed)
    assert "ip_ttl 0/0xfe" in tc.said[0]


def test_delete_and_its_errors(tc: Tc, driver: TcFlower) -> None:
    driver.replace(rule(), 0)
    assert driver.destroy(Cookie(1, 0), 5) == Placed("tc", 5)
    driver.replace(rule(), 0)
    tc.failing = {"del": "Device or resource busy"}
    assert driver.destroy(Cookie(1, 0), 5) == Failure(OffloadFailure.DRIVER, "tc", "Device or resource busy")


def test_counters_are_read_all_at_once_and_told_as_differences(tc: Tc, driver: TcFlower) -> None:
    for number in (1, 2):
        driver.replace(rule(number, 50 + number), 0)
    tc.counted = {2: FilterStats(10, 1000, 3, True), 4: FilterStats(0, 0, 0, True)}
    now = 100 * SECOND
    assert driver.stats(Cookie(1, 0), now) == Reading(10, 1000, 97 * SECOND)
    assert driver.stats(Cookie(2, 0), now) == Reading(0, 0, 0)
    assert tc.reads == 1
    tc.counted = {2: FilterStats(15, 1500, 0, True)}
    assert driver.stats(Cookie(1, 0), now + SECOND // 2) == Reading(0, 0, 97 * SECOND)
    assert driver.stats(Cookie(1, 0), now + SECOND) == Reading(5, 500, now + SECOND)
    assert tc.reads == 2


def test_a_filter_that_hardware_dropped(tc: Tc, driver: TcFlower) -> None:
    driver.replace(rule(), 0)
    tc.counted = {2: FilterStats(1, 100, 0, False)}
    reading = driver.stats(Cookie(1, 0), SECOND)
    assert isinstance(reading, Reading)
    assert reading.lost == Failure(OffloadFailure.EVICTED, "tc", "not_in_hw")
