"""Time that is given to a box."""

from __future__ import annotations

from flowtable.clock import NEVER
from tests.lab import Lab


def test_no_time_is_too_late():
    """Nothing is due where nobody waits, not even after the time that stands for never."""
    lab = Lab("")
    lab.box.advance(NEVER + 1)
    assert lab.box.now == NEVER + 1
