"""All lints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.explain.lints import devices, files, flow_rules, matches, offloaded

if TYPE_CHECKING:
    from flowtable.explain.lints.lint import Lint

CATALOGUE: Final[dict[str, Lint]] = {
    lint.id: lint for module in (flow_rules, devices, matches, offloaded, files) for lint in module.LINTS
}
"""By id, in the order of docs/lints.md."""
