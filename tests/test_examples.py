"""The examples: recorded from real programs behind a real Linux router, which is the judge."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether

from flowtable.capture import open_capture
from flowtable.cli import main
from flowtable.topology.boxfile import load

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = ["home-router", "documentation"]


def run(name: str, *options: str) -> str:
    """Run an example; what it printed."""
    folder = EXAMPLES / name
    command = ["run", str(folder / "ruleset.nft"), "--box", str(folder / "box.yaml")]
    result = CliRunner().invoke(main, [*command, str(folder / "input.pcapng"), *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def frames(path: Path) -> dict[str, list[bytes]]:
    """The frames of a capture by interface, in order."""
    found: dict[str, list[bytes]] = {}
    with path.open("rb") as stream:
        for record in open_capture(stream, path.name):
            found.setdefault(record.interface, []).append(record.data)
    return found


def box_of(name: str):
    return load((EXAMPLES / name / "box.yaml").read_text(), "box.yaml")


def sent_by_the_router(name: str) -> dict[str, list[bytes]]:
    """What the real router sent while the example was recorded."""
    own = {device.mac for device in box_of(name).devices.values()}
    captured = frames(EXAMPLES / name / "input.pcapng")
    return {device: [frame for frame in found if frame[6:12] in own] for device, found in captured.items()}


def comparable(frame: bytes, own: set[bytes]) -> bytes | None:
    """A frame without what Linux draws at random, None for what the box has no part in.

    Random are the identification of the router's own IPv4 packets, the flow label of its own
    IPv6 packets, and the identification of IPv6 fragments. A router's multicast listener
    reports are left out: it joins groups, the box only listens.
    """
    data = bytearray(frame)
    if frame[12:14] == b"\x08\x00" and frame[26:30] in own:
        data[18:20] = data[24:26] = b"\0\0"
    elif frame[12:14] == b"\x86\xdd":
        if frame[20] == 44:
            data[58:62] = bytes(4)
        if frame[22:38] in own:
            data[15] &= 0xF0
            data[16:18] = b"\0\0"
            if frame[20] == 0 and frame[62] == 143:
                return None
    return bytes(data)


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_is_the_real_router_s(name, tmp_path):
    run(name, "--out", str(tmp_path / "out.pcapng"))
    ours = frames(tmp_path / "out.pcapng")
    theirs = sent_by_the_router(name)
    assert ours.keys() == theirs.keys()
    own = {address.address for device in box_of(name).devices.values() for address in device.addresses}
    for device, expected in theirs.items():
        wanted = [frame for frame in (comparable(frame, own) for frame in expected) if frame]
        got = [frame for frame in (comparable(frame, own) for frame in ours[device]) if frame]
        assert sorted(got) == sorted(wanted)
        assert in_conversations(got) == in_conversations(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_rules_and_connections_are_the_real_router_s(name, tmp_path):
    """Its kernel had no flowtable, so neither has the box here: see ``tools/recording/router.py``."""
    folder = EXAMPLES / name
    rules = tmp_path / "ruleset.nft"
    text = re.sub(
        r"\n\s*flowtable\s+\w+\s*\{(?:[^{}]|\{[^{}]*\})*\}", "", (folder / "ruleset.nft").read_text()
    )
    rules.write_text(re.sub(r"flow add @\w+", "ct state established", text))
    listing, connections = tmp_path / "listing", tmp_path / "connections"
    command = ["run", str(rules), "--box", str(folder / "box.yaml"), str(folder / "input.pcapng")]
    command += ["--ruleset-out", str(listing), "--conntrack", str(connections)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert listing.read_text() == (folder / "recorded/ruleset.txt").read_text()
    recorded = (folder / "recorded/conntrack.txt").read_text()
    assert without_timeouts(connections.read_text()) == without_timeouts(recorded)


def without_timeouts(listing: str) -> list[str]:
    """Connections in any order; the real list was asked for a moment after the last packet."""
    lines = [line for line in listing.splitlines() if line and "shown" not in line]
    return sorted(re.sub(r"^(\S+ +\d+) \d+", r"\1", line) for line in lines)


def in_conversations(found: list[bytes]) -> dict[bytes, list[bytes]]:
    """Frames by the addresses of their packets: captures of two devices interleave by chance."""
    conversations: dict[bytes, list[bytes]] = {}
    for frame in found:
        key = frame[26:34] if frame[12:14] == b"\x08\x00" else frame[22:54]
        conversations.setdefault(key, []).append(frame)
    return conversations


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bytes(name, tmp_path):
    results = []
    for turn in ("1", "2"):
        files = [tmp_path / f"{kind}{turn}" for kind in ("out.pcapng", "conntrack", "flows", "rules")]
        options = ["--out", "--conntrack", "--flows", "--ruleset-out"]
        told = run(name, *(word for pair in zip(options, map(str, files), strict=True) for word in pair))
        results.append([told.encode(), *(file.read_bytes() for file in files)])
    assert results[0] == results[1]


def test_a_fresh_process_gives_the_same_bytes(tmp_path):
    """Hashes of strings differ from process to process; the output may not."""
    folder = EXAMPLES / "documentation"
    outputs = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.pcapng"
        command = [sys.executable, "-m", "flowtable", "run", str(folder / "ruleset.nft")]
        command += ["--box", str(folder / "box.yaml"), str(folder / "input.pcapng"), "--out", str(out)]
        command += ["--conntrack", "-"]
        told = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        outputs.append((told.stdout, out.read_bytes()))
    assert outputs[0] == outputs[1]


def test_the_home_router_takes_the_fast_path():
    told = run("home-router", "--conntrack", "-")
    line = next(line for line in told.splitlines() if line.startswith("fast path:"))
    assert float(line.split("(")[1].split("%")[0]) > 90
    assert told.count("[OFFLOAD]") >= 10


@pytest.mark.parametrize(("profile", "counted"), [("default", 9), ("linux-6.12", 9), ("linux-5.13", 7)])
def test_the_documentation_s_counter_stops(profile, counted, tmp_path):
    """Only the first packets of each direction, and the last ones, reach the rule's counter."""
    listing = tmp_path / "ruleset"
    run("documentation", "--profile", profile, "--ruleset-out", str(listing))
    [counter] = [line for line in listing.read_text().splitlines() if "counter packets" in line]
    assert int(counter.split()[2]) == counted
    assert "packets 95 " in (EXAMPLES / "documentation/recorded/ruleset.txt").read_text()


def wrong_checksums(frame: bytes) -> list[str]:
    """Names of the headers whose checksum scapy would have written differently."""
    packet = Ether(frame)
    wrong = []
    if IP in packet:
        fresh = packet[IP].copy()
        del fresh.chksum
        if IP(bytes(fresh)).chksum != packet[IP].chksum:
            wrong.append("IP")
        if packet[IP].frag or packet[IP].flags.MF:
            return wrong
    elif IPv6 not in packet or IPv6ExtHdrFragment in packet:
        return wrong
    network = packet[IP] if IP in packet else packet[IPv6]
    for layer in (TCP, UDP, ICMP):
        if isinstance(network.payload, layer):
            if layer is UDP and IP in packet and packet[UDP].chksum == 0:
                continue
            fresh = network.copy()
            del fresh[layer].chksum
            if type(network)(bytes(fresh))[layer].chksum != packet[layer].chksum:
                wrong.append(layer.__name__)
    return wrong


def test_checksums_of_the_demo_are_right_for_scapy(tmp_path):
    run("home-router", "--out", str(tmp_path / "out.pcapng"))
    for found in frames(tmp_path / "out.pcapng").values():
        for number, frame in enumerate(found, 1):
            assert wrong_checksums(frame) == [], f"frame {number}"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed: apt-get install tshark")
def test_checksums_of_the_demo_are_right_for_wireshark(tmp_path):
    out = tmp_path / "out.pcapng"
    run("home-router", "--out", str(out))
    # Segments quoted in ICMP errors are cut short: their checksum cannot be right.
    bad = "ip.checksum.status==0 || ((tcp.checksum.status==0 || udp.checksum.status==0) && !icmp && !icmpv6)"
    options = [word for name in ("ip", "tcp", "udp") for word in ("-o", f"{name}.check_checksum:TRUE")]
    command = ["tshark", "-r", str(out), *options, "-Y", bad]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout == ""


def test_documentation_addresses_only():
    for name in NAMES:
        for device in box_of(name).devices.values():
            for address in device.addresses:
                assert not ip_address(address.address).is_global


def test_the_packet_engine_sends_what_the_router_sends_without_it(tmp_path):
    """The same box and rules but for the chip; per device the same frames, and flows in the same order."""
    plain, engine = EXAMPLES / "home-router", EXAMPLES / "packet-engine"
    assert (engine / "ruleset.nft").read_text().replace("\t\tflags offload\n", "") == (
        plain / "ruleset.nft"
    ).read_text()
    assert "hardware" not in (plain / "box.yaml").read_text()
    sent = []
    for folder in (plain, engine):
        out = tmp_path / f"{folder.name}.pcapng"
        command = ["run", str(folder / "ruleset.nft"), "--box", str(folder / "box.yaml"), "--quiet"]
        result = CliRunner().invoke(main, [*command, str(plain / "input.pcapng"), "--out", str(out)])
        assert result.exit_code == 0, result.output
        sent.append(frames(out))
    assert sent[0] == sent[1]


def test_the_packet_engine_takes_the_large_flows():
    folder = EXAMPLES / "packet-engine"
    command = ["run", str(folder / "ruleset.nft"), "--box", str(folder / "box.yaml"), "--json"]
    result = CliRunner().invoke(main, [*command, str(EXAMPLES / "home-router" / "input.pcapng")])
    document = json.loads(result.stdout)
    assert document["hardware"]["packets"] / document["records"]["taken"] > 0.65
    assert document["hardware"]["failures"] == []
