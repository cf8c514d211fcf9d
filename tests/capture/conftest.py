"""Tools of Wireshark, against which captures are held where they are installed."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def tshark():
    if shutil.which("tshark") is None or shutil.which("editcap") is None:
        pytest.skip("needs tshark and editcap (Debian package tshark)")
