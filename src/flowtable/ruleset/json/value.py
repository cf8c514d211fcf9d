"""What a JSON document is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"


def without_counts(statement: Json) -> Json:
    """A statement without what it has counted."""
    if isinstance(statement, dict) and isinstance(counter := statement.get("counter"), dict):
        return {"counter": None} if "packets" in counter else statement
    return statement
