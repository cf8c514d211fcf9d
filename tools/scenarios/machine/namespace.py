"""Network namespaces without names: they are gone with the process that made them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_HERE: Final = "/proc/self/ns/net"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class MachineError(Exception):
    """The real box cannot be what the scenario says, and why."""


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), what)


class Namespace:
    """A network namespace."""

    def __init__(self) -> None:
        with _returning():
            _check(_LIBC.unshare(_CLONE_NEWNET), "unshare")
            self.descriptor = os.open(_HERE, os.O_RDONLY)

    def close(self) -> None:
        """Let go of it; it ends with the last process and socket in it."""
        os.close(self.descriptor)

    @property
    def path(self) -> str:
        """What ``ip`` takes in the place of a name."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Whatever is opened or started there belongs to the namespace."""
        with _returning():
            _check(_LIBC.setns(self.descriptor, _CLONE_NEWNET), "setns")
            yield

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a program in the namespace; what it printed.

        Raises:
            MachineError: it failed.
        """
        with self.inside():
            result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if result.returncode:
            raise MachineError(f"{' '.join(command)}: {result.stderr.strip()}\n{text or ''}")
        return result.stdout

    def ip(self, lines: Iterable[str]) -> None:
        """Run ``ip`` with each of the lines."""
        self.run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def bridge(self, lines: Iterable[str]) -> None:
        """Run ``bridge`` with each of the lines."""
        self.run("bridge", "-batch", "-", text="\n".join(lines) + "\n")

    def sysctl(self, name: str, value: object) -> None:
        """``sysctl -w``, the name with dots."""
        parts = ["." if part == "/" else part for part in name.split(".")]
        path = Path("/proc/sys", *(part.replace("/", ".") for part in parts))
        with self.inside():
            try:
                path.write_text(f"{value}\n")
            except OSError as error:
                raise MachineError(f"{name} = {value}: {error.strerror}") from None


@contextmanager
def _returning() -> Iterator[None]:
    here = os.open(_HERE, os.O_RDONLY)
    try:
        yield
    finally:
        _check(_LIBC.setns(here, _CLONE_NEWNET), "setns")
        os.close(here)
