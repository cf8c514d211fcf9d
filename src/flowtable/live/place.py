"""Where the service of a network namespace is found, and which one holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

RUN: Final = Path(os.environ.get("FLOWTABLE_RUN", "/run/flowtable"))
"""Where services keep their sockets."""
_NAMESPACE: Final = Path("/proc/self/ns/net")


class HeldError(Exception):
    """Another service holds the namespace; the message says which."""


def namespace() -> int:
    """The inode of the network namespace of this process, which is its number."""
    return _NAMESPACE.stat().st_ino


def socket_path() -> Path:
    """The control socket of this network namespace."""
    return RUN / f"{namespace()}.sock"


def state_path() -> Path:
    """What a service of this network namespace remembers for the next, should it die."""
    return RUN / f"{namespace()}.json"


class Hold:
    """The right to serve a network namespace: a locked file, free again when the process dies."""

    def __init__(self) -> None:
        """Take it.

        Raises:
            HeldError: a service has it.
            OSError: the directory cannot be written.
        """
        RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = RUN / f"{namespace()}.lock"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 100, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise HeldError(
                f"the flowtable service with process id {holder or 'unknown'} holds this network namespace"
                " (end it with: flowtable down)"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another service have it."""
        self._path.unlink(missing_ok=True)
        os.close(self._fd)
