"""How often Python looks for garbage in a service."""

from __future__ import annotations

import gc
from typing import Final

_THRESHOLDS: Final = (50_000, 20, 100)


def collect_rarely() -> None:
    """Let what is there now be, and look through the rest seldom.

    Flows come and go without leaving cycles behind, and each time Python looks through all of them
    costs as much as they are many: learning a flow takes half as long again with its defaults.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
