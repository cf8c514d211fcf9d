"""``nft -f``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset import RulesetError, apply

if TYPE_CHECKING:
    from flowtable.router import Box
    from flowtable.topology.boxfile.reader import Field


def ruleset(field: Field, box: Box) -> None:
    """Run commands on the rules, as one transaction."""
    try:
        box.load(apply(box.ruleset, field.text(), "ruleset"))
    except RulesetError as error:
        raise field.fail(str(error)) from None
