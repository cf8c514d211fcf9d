"""``conntrack -F``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.router import Box
    from flowtable.topology.boxfile.reader import Field


def conntrack(field: Field, box: Box) -> None:
    """Forget all connections."""
    field.choice({"flush": box.conntrack.flush})(box.now)
