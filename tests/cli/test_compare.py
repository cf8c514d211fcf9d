"""``flowtable run --compare``: what the box sends against what the real router sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowtable.capture import Direction, PcapngWriter, open_capture
from flowtable.cli import main

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def records(name: str):
    path = EXAMPLES / name / "input.pcapng"
    with path.open("rb") as stream:
        return list(open_capture(stream, path.name))


def compare(name: str, capture: Path, *options: str):
    folder = EXAMPLES / name
    command = ["run", str(folder / "ruleset.nft"), "--box", str(folder / "box.yaml"), str(capture)]
    return CliRunner().invoke(main, [*command, "--compare", *options])


def written(tmp_path: Path, found) -> Path:
    path = tmp_path / "changed.pcapng"
    with (
        path.open("wb") as stream,
        PcapngWriter(stream, dict.fromkeys(each.interface for each in found)) as out,
    ):
        for each in found:
            out.write(each.interface, each.time, each.data, each.direction)
    return path


@pytest.mark.parametrize("profile", ["default", "linux-6.12", "linux-6.18"])
@pytest.mark.parametrize("name", ["home-router", "documentation"])
def test_every_frame_is_what_the_real_router_sent(name, profile):
    result = compare(name, EXAMPLES / name / "input.pcapng", "--profile", profile, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    out = sum(each.direction is Direction.OUT for each in records(name))
    reports = out - told["comparison"]["expected"]
    assert told["comparison"]["identical"] == told["comparison"]["expected"] > 90
    assert told["comparison"]["differences"] == []
    # Only reports of multicast groups are left out.
    assert 0 <= reports < 20


def test_a_changed_field_is_named_with_both_values(tmp_path):
    found = records("documentation")
    at = next(i for i, each in enumerate(found) if each.direction is Direction.OUT and each.data[23] == 6)
    frame = bytearray(found[at].data)
    frame[22] -= 1
    found[at] = found[at]._replace(data=bytes(frame))
    result = compare("documentation", written(tmp_path, found))
    assert result.exit_code == 3
    assert (
        f"{found[at].interface}: packet {at + 1}: ip.ttl is {frame[22] + 1}, expected {frame[22]}"
        in result.stdout
    )
    assert "1 differences" in result.stdout


def test_what_the_router_did_not_send_and_what_the_box_did_not_are_told(tmp_path):
    found = records("documentation")
    out = [each for each in found if each.direction is Direction.OUT and each.data[12:14] == b"\x08\x00"]
    first, second = out[:2]
    foreign = bytearray(first.data)
    foreign[26:30] = foreign[30:34] = bytes((192, 0, 2, 1))
    rest = [each for each in found if each is not second]
    rest.insert(rest.index(first), first._replace(data=bytes(foreign)))
    result = compare("documentation", written(tmp_path, rest), "--json")
    assert result.exit_code == 3
    differences = json.loads(result.stdout)["comparison"]["differences"]
    assert [each["text"].partition(":")[0] for each in differences] == ["was not sent", "not in the capture"]
    assert differences[1]["number"] == 0
    assert "ip.src=192.0.2.1" in differences[0]["text"]


def test_only_the_first_differences_are_told_in_full(tmp_path):
    changed = []
    for each in records("documentation"):
        frame = bytearray(each.data)
        if each.direction is Direction.OUT:
            frame[-1] ^= 1
        changed.append(each._replace(data=bytes(frame)))
    result = compare("documentation", written(tmp_path, changed))
    assert result.exit_code == 3
    lines = [line for line in result.stdout.splitlines() if line.startswith("  ") and ": packet " in line]
    assert len(lines) == 10
    assert result.stdout.rstrip().splitlines()[-1].startswith("  and ")
