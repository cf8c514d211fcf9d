"""``sysctl -w``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.topology.boxfile import sysctls
from flowtable.topology.boxfile.draft import Draft

if TYPE_CHECKING:
    from flowtable.router import Box
    from flowtable.topology.boxfile.reader import Field


def sysctl(field: Field, box: Box) -> None:
    """Set sysctls."""
    sysctls.read(field, Draft.of(box.topology))
