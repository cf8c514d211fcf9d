"""What a JSON document is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"


def without_counts(statement: Json) -> Json:
    """A statement without what it has counted."""
    if not isinstance(statement, Mapping):
        return statement
    counter, quota = statement.get("counter"), statement.get("quota")
    if isinstance(counter, Mapping) and "packets" in counter:
        return {"counter": None}
    if isinstance(quota, Mapping) and "used" in quota:
        return {"quota": {name: quota[name] for name in quota if name not in ("used", "used_unit")}}
    return statement
