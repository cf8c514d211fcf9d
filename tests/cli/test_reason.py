"""The order of reasons."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

from flowtable.cli.reason import ranked
from flowtable.packet.miss import Miss


def test_equally_frequent_reasons_stay_in_the_order_of_their_enumeration():
    first, second, third = list(Miss)[:3]
    for order in permutations([(first, 1), (second, 2), (third, 1)]):
        assert ranked(Counter(dict(order))) == [(second, 2), (first, 1), (third, 1)]
    assert ranked(Counter[Miss]()) == []
