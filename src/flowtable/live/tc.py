"""The tc program, for ``offload.tcflower``."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

from flowtable.offload.tcflower.driver import FilterStats

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAILED: Final = re.compile(r"Command failed -:(\d+)")
_NOISE: Final = "We have an error talking to the kernel"
_FEATURE: Final = "hw-tc-offload: on"


class TcError(Exception):
    """tc or ethtool is not there, or does not say what it should."""


class TcProgram:
    """tc in this network namespace."""

    def batch(self, commands: Sequence[str]) -> dict[int, str]:
        """Run commands, each whatever became of those before; what was said of those that failed.

        Raises:
            TcError: tc is not there.
        """
        done = _run("tc", "-force", "-batch", "-", text="".join(f"{command}\n" for command in commands))
        failed: dict[int, str] = {}
        said: list[str] = []
        for line in done.stderr.splitlines():
            match = _FAILED.match(line)
            if match is None:
                if line != _NOISE:
                    said.append(line.removeprefix("Error: ").removeprefix("RTNETLINK answers: ").rstrip("."))
                continue
            failed[int(match[1]) - 1] = "; ".join(said) or "tc says no more"
            said.clear()
        return failed

    def filters(self, device: str, chain: int) -> dict[int, FilterStats]:
        """The flower filters of a device's ingress chain, by their handles.

        Raises:
            TcError: tc is not there, or says something else.
        """
        done = _run("tc", "-s", "-j", "filter", "show", "dev", device, "ingress", "chain", str(chain))
        if done.returncode:
            return {}
        try:
            listed = json.loads(done.stdout or "[]")
            return dict(_stats(each["options"]) for each in listed if "handle" in each.get("options", {}))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise TcError(f"tc filter show: {error!r}") from None

    def refuses(self, device: str) -> str | None:
        """Why a device takes no filters into hardware, None if it may: ``ethtool -K DEV hw-tc-offload on``.

        Raises:
            TcError: ethtool is not there.
        """
        done = _run("ethtool", "-k", device)
        if done.returncode:
            return done.stderr.strip() or "ethtool says no more"
        features = [line.strip() for line in done.stdout.splitlines()]
        said = next((line for line in features if line.startswith("hw-tc-offload:")), None)
        if said == _FEATURE:
            return None
        return said or "no feature hw-tc-offload"


def _stats(options: dict[str, Any]) -> tuple[int, FilterStats]:
    last = options["actions"][-1]
    counted = last["stats"]
    in_hw = bool(options.get("in_hw"))
    return int(options["handle"]), FilterStats(counted["packets"], counted["bytes"], last["last_used"], in_hw)


def _run(*command: str, text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        raise TcError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise TcError(f"{command[0]} does not come to an end") from None
