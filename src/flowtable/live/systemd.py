"""Telling the service manager how the service is.

Ref: sd_notify(3).
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(*assignments: str) -> None:
    """Tell systemd, if it started this process and wants to know; a service does not depend on it.

    Args:
        assignments: as ``READY=1``.
    """
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as messenger,
    ):
        messenger.connect(address)
        messenger.sendall("\n".join(assignments).encode())
