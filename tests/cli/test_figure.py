"""The figure, as it is drawn."""

from __future__ import annotations

from flowtable.cli.figure import draw
from flowtable.packet.miss import Miss
from flowtable.router import Statistics


def statistics() -> Statistics:
    counts = Statistics(ingress=3202, bypass=2512, prerouting=690, routing=688, input=52, delivered=47)
    counts.output, counts.forward, counts.postrouting = 61, 601, 655
    counts.transmit, counts.withheld, counts.offloaded = 3160, 7, 48
    counts.misses[Miss.NO_ENTRY] = 590
    return counts


def test_every_station_has_its_count():
    assert (
        draw(statistics())
        == """\
                             local process
                             ^    47     |
                           input      output
                            52          61
                             |           v
ingress --> prerouting --> routing decision --> forward --> postrouting --> egress --> transmit
 3,202          690               688             601           655          3,167       3,160
   |                                               |                           ^
flowtable --hit----------- fast path bypass -------|---------------------------'
 3,102                           2,512             |
   '--miss--> 590 (the line above)                 '-- flow add: 48 flows"""
    )


def test_large_counts_keep_apart():
    large = 999_999_999
    counts = Statistics(ingress=large, bypass=large, prerouting=large, routing=large, input=large)
    counts.delivered = counts.output = counts.forward = counts.postrouting = counts.offloaded = large
    counts.transmit = large
    lines = draw(counts).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[3].split() == ["999,999,999"] * 2
    assert lines[6].split() == ["999,999,999"] * 7


def test_the_stations_stay_where_they_are_whatever_their_counts():
    empty, full = draw(Statistics()).splitlines(), draw(statistics()).splitlines()
    assert [empty[at] for at in (0, 2, 4, 5, 7, 8)] == [full[at] for at in (0, 2, 4, 5, 7, 8)]
