"""Documents with anything anywhere: an error of the documented kind, or a ruleset."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowtable.ruleset import RulesetError, load, parse, print_ruleset
from flowtable.ruleset.json.writer import print_json

CORPUS = Path(__file__).parent.parent / "rulesets"
NAMES = (
    "cgnat-port-blocks",
    "concatenations",
    "conntrack-objects",
    "server-quotas",
    "two-flowtables",
    "rpfilter",
)
ITEMS = [item for name in NAMES for item in json.loads(print_json(load(CORPUS / f"{name}.nft")))["nftables"]]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from(
        ["", "*", "@", "@x", "tcp", "10.0.0.1", "fe80::", '"', "\n", "drop; flush ruleset", "\udc80"]
    ),
    st.text(max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["set", "range", "prefix", "concat", "&", "payload", "x"]), inner, max_size=2
        ),
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything in a document."""
    found = [path]
    children = (
        enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    )
    for key, child in children:
        found.extend(places(child, (*path, key)))
    return found


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


@given(st.data())
def test_one_place_replaced(data: st.DataObject) -> None:
    item = data.draw(st.sampled_from(ITEMS))
    path = data.draw(st.sampled_from(places(item)))
    changed = replaced(item, path, data.draw(VALUES))
    text = json.dumps({"nftables": [{"table": {"family": "inet", "name": "t"}}, changed]})
    try:
        listing = print_ruleset(parse(text, "x.json"))
    except RulesetError as error:
        assert str(error)
    else:
        assert print_ruleset(parse(listing, "x.nft")) == listing


@given(VALUES)
def test_anything(value: Any) -> None:
    for document in (value, {"nftables": value}, {"nftables": [value]}, {"nftables": [{"add": value}]}):
        try:
            parse(json.dumps(document), "x.json")
        except RulesetError as error:
            assert str(error)
