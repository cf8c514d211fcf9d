"""``flowtable run --events``."""

from __future__ import annotations

import pytest

from tests.cli.bench import Talk, udp


@pytest.fixture
def talk():
    talk = Talk()
    udp(talk, 4)
    return talk


def test_events_happen_between_packets(desk, talk):
    desk.capture(talk.packets)
    (desk.folder / "events.yaml").write_text(
        "- {at: 0.0035, ruleset: 'add rule inet x y counter comment \"later\"'}\n"
        "- {at: 0, sysctl: {net.netfilter.nf_conntrack_acct: 0}}\n"
        "- {at: 5, conntrack: flush}\n"
    )
    result = desk.run(
        "input.pcapng", "--events", "events.yaml", "--conntrack", "-", "--ruleset-out", "rules", "-q"
    )
    assert (result.exit_code, result.stdout) == (0, "")
    assert 'comment "later"' in (desk.folder / "rules").read_text()


def test_a_refused_event_ends_the_command_before_anything_is_written(desk, talk):
    desk.capture(talk.packets)
    (desk.folder / "events.yaml").write_text("- {at: 5, link: {dev: lan7, up: false}}\n")
    result = desk.run("input.pcapng", "--events", "events.yaml", "--out", "out.pcapng")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "events.yaml:1:23: [0].link.dev: unknown device 'lan7'" in result.stderr
    assert not (desk.folder / "out.pcapng").exists()


def test_events_that_are_no_yaml(desk, talk):
    desk.capture(talk.packets)
    (desk.folder / "events.yaml").write_text("- {at: 5, link: [")
    result = desk.run("input.pcapng", "--events", "events.yaml")
    assert result.exit_code == 1
    assert "events.yaml:1:" in result.stderr
