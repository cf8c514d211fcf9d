"""Every reason explains itself."""

from __future__ import annotations

import re

import pytest

from flowtable.packet.miss import Miss


@pytest.mark.parametrize("miss", Miss)
def test_a_reason_explains_itself(miss):
    assert miss.text == miss.text.strip().rstrip(".")
    assert "\n" not in miss.text + miss.effect
    assert miss.effect.startswith("classic path, unchanged")
    assert "flow" in miss.effect
    assert re.fullmatch(r"(net|kernel)/\w+/\w+\.c:\w+", miss.ref)


def test_no_two_reasons_read_the_same():
    assert len({miss.text for miss in Miss}) == len(Miss)


def test_reasons_count_by_identity():
    counts = dict.fromkeys(Miss, 0)
    assert len(counts) == len(Miss)
    assert hash(Miss.FRAGMENT) == hash(Miss["FRAGMENT"])
