"""What is C behaves under the sanitizers; ``make sanitize`` asks more of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UNSUITABLE = 3
TESTS = (
    "tests/datapath/test_native.py::test_entries_that_change_end_and_hide_each_other",
    "tests/datapath/test_native.py::test_a_table_that_grows_and_shrinks_keeps_everything",
    "tests/capture/test_stretch.py",
    "tests/router/test_bursts.py::test_the_home_router_in_one_burst",
)


@pytest.mark.skipif("FLOWTABLE_SANITIZED" in os.environ, reason="is under the sanitizers already")
def test_frames_and_captures_under_the_sanitizers():
    command = [sys.executable, str(ROOT / "tools/sanitize"), *TESTS]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == UNSUITABLE:
        pytest.skip("needs a C compiler with the address sanitizer")
    assert result.returncode == 0, result.stdout + result.stderr
