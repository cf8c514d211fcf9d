from __future__ import annotations

import pytest

from flowtable.datapath import library
from flowtable.profile import PROFILES
from tests.cli.bench import Talk, tcp, udp

OUTPUTS = ("out.pcapng", "flows", "conntrack", "ruleset")


def results(desk, *arguments):
    result = desk.run(
        "input.pcapng", "--out", "out.pcapng", "--flows", "flows", "--ended", "--conntrack", "conntrack",
        "--ruleset-out", "ruleset", *arguments,
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout, [(desk.folder / name).read_bytes() for name in OUTPUTS]


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_both_datapaths_give_the_same_results(desk, profile):
    talk = Talk()
    tcp(talk, 50, close=True)
    udp(talk, 50)
    desk.capture(talk.packets)
    native = results(desk, "--profile", profile, "--datapath", "native")
    assert native == results(desk, "--profile", profile, "--datapath", "reference")
    assert native == results(desk, "--profile", profile)


def test_without_the_library_the_reference_forwards_and_says_so(desk, monkeypatch):
    def missing():
        raise OSError("libflowtable.so: not found")

    talk = Talk()
    udp(talk, 20)
    desk.capture(talk.packets)
    expected = desk.run("input.pcapng", "--datapath", "reference")
    monkeypatch.setattr(library, "load", missing)
    result = desk.run("input.pcapng", "--datapath", "native")
    assert (result.exit_code, result.stdout) == (0, expected.stdout)
    assert result.stderr == (
        "flowtable: no native datapath, the reference takes its place: libflowtable.so: not found\n"
    )
