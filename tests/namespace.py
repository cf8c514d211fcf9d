"""Network namespaces of the running kernel, for tests that ask a real one.

As root there always are some. An ordinary user makes a user namespace first, which not every
machine lets him, nor are nft and ethtool on every machine: then such a test is skipped, and says so.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess

import pytest

ROOT = os.geteuid() == 0
UNSHARE = ("unshare", "-n") if ROOT else ("unshare", "-rn")
"""What to put in front of a command."""

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])


needs_tun = pytest.mark.skipif(
    not ROOT and not os.access("/dev/net/tun", os.R_OK | os.W_OK),
    reason="/dev/net/tun is root's here",
)
"""Marks tests that make TUN or TAP devices, which not every machine lets ordinary users do."""


@functools.cache
def _lacking(programs: tuple[str, ...]) -> str | None:
    """Why tests with these programs cannot be run here."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        return f"not installed: {' '.join(missing)}"
    tried = subprocess.run([*UNSHARE, "ip", "link"], capture_output=True, text=True, check=False)
    return tried.stderr.strip() or "no network namespaces" if tried.returncode else None


def require(*programs: str) -> None:
    """Skip the test unless it can have a network namespace and these programs; root has to have them."""
    lacking = _lacking(("ip", *programs))
    if lacking is not None:
        assert not ROOT, lacking
        pytest.skip(lacking)
