"""The real nft, on the running kernel, in a network namespace that ends with the call."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.namespace import UNSHARE, require

SETUP = """\
set -e
ip link set lo up
for pair in $1; do ip link add "${pair%=*}" type veth peer name "${pair#*=}"; done
set +e
for file in "$2"/*.nft; do
    name=${file%.nft}
    if nft -I "$4" -f "$file" 2> "$name.error"; then
        nft $3 > "$name.output"
    fi
    nft flush ruleset
done
"""
"""Loads each file by itself and lists it."""


def listings(
    rulesets: Sequence[str],
    command: str = "list ruleset",
    devices: Sequence[str] = ("eth0=eth1",),
    includes: Path = Path("/etc"),
) -> list[tuple[str, str]]:
    """For each ruleset, what nft prints of it once it is loaded, and else why it was not.

    Args:
        rulesets: their texts.
        command: what nft is asked for each.
        devices: pairs of names; each becomes a veth pair.
        includes: where included files are.
    """
    require("nft")
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(rulesets):
            Path(folder, f"{number:04}.nft").write_text(text)
        script = ["sh", "-c", SETUP, "sh", " ".join(devices), folder, command, str(includes)]
        subprocess.run([*UNSHARE, *script], check=True, stdin=subprocess.DEVNULL)
        return [
            (_read(Path(folder, f"{number:04}.output")), _read(Path(folder, f"{number:04}.error")))
            for number in range(len(rulesets))
        ]


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


IN_TURN = """\
set -e
for pair in $1; do ip link add "${pair%=*}" type veth peer name "${pair#*=}"; done
for file in "$2"/*.nft; do
    nft -f "$file"
    nft list ruleset > "${file%.nft}.output"
done
"""


def in_turn(rulesets: Sequence[str], devices: Sequence[str] = ("eth0=eth1",)) -> list[str]:
    """What is there after each of these files, loaded one after the other into the same kernel."""
    require("nft")
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(rulesets):
            Path(folder, f"{number:04}.nft").write_text(text)
        script = ["sh", "-c", IN_TURN, "sh", " ".join(devices), folder]
        subprocess.run([*UNSHARE, *script], check=True, stdin=subprocess.DEVNULL)
        return [_read(Path(folder, f"{number:04}.output")) for number in range(len(rulesets))]
