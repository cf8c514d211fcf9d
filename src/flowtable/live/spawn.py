"""Starting a service in the background, and waiting until it serves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Final

from flowtable.live.client import ServiceError

_LOOK: Final = 0.2
"""Seconds between two looks whether it has ended."""


def spawn(*arguments: str) -> int:
    """Start ``flowtable up`` as a process of its own.

    Args:
        arguments: what stands behind ``up``.

    Returns:
        The process, which serves now.

    Raises:
        ServiceError: it ended instead; with what it said.
    """
    with TemporaryDirectory() as directory, TemporaryFile("w+") as said:
        # One without a path would be of this network namespace, which the service may leave.
        path = str(Path(directory) / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as listener:
            listener.bind(path)
            listener.settimeout(_LOOK)
            process = subprocess.Popen(
                [sys.executable, "-m", "flowtable", "up", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**os.environ, "NOTIFY_SOCKET": path},
                start_new_session=True,
            )
            while process.poll() is None:
                try:
                    if b"READY=1" in listener.recv(4096).split(b"\n"):
                        # It is nobody's child to wait for any more.
                        process.returncode = 0
                        return process.pid
                except TimeoutError:
                    continue
        said.seek(0)
        raise ServiceError(said.read().strip() or f"the service ended with {process.returncode}")
