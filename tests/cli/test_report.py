"""``flowtable run --report``: the run in the course of time."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from flowtable.clock import MILLISECOND, SECOND
from flowtable.explain.plot import draw, page
from flowtable.explain.timeline import MOST, Sample, Timeline
from tests.cli.bench import Talk, udp
from tests.lab import Lab, udp_reply
from tests.lab import udp as packet

SVG = "{http://www.w3.org/2000/svg}"


def test_a_page_with_the_drawings_and_the_summary(desk):
    talk = Talk()
    udp(talk, 40)
    desk.capture(talk.packets)
    result = desk.run("input.pcapng", "--report", "report.html")
    assert result.exit_code == 0
    text = (desk.folder / "report.html").read_text()
    assert result.stdout in text.replace("&gt;", ">").replace("&lt;", "<").replace("&#x27;", "'")
    drawing = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    words = [each.text for each in drawing.iter(f"{SVG}text")]
    assert {"packets per second", "hardware", "fast path in software", "classic path"} <= set(words)
    assert len(list(drawing.iter(f"{SVG}polygon"))) == len(list(drawing.iter(f"{SVG}polyline"))) == 3
    again = desk.run("input.pcapng", "--report", "again.html")
    assert again.exit_code == 0
    assert (desk.folder / "again.html").read_text() == text, "the same run, the same page"


def test_a_capture_without_packets(desk):
    desk.capture([])
    assert desk.run("input.pcapng", "--report", "report.html").exit_code == 0
    assert "<svg" not in (desk.folder / "report.html").read_text()


def test_what_the_samples_say():
    lab = Lab()
    timeline = Timeline(lab.box)
    timeline.advance(lab.now)
    for _ in range(4):
        lab.client(packet())
        lab.server(udp_reply())
        lab.wait(0.01)
        timeline.advance(lab.now)
    timeline.finish(lab.now + 3 * MILLISECOND)
    steps = [(sample.time // MILLISECOND, sample.classic, sample.software) for sample in timeline.samples]
    assert steps == [(0, 0, 0), (10, 2, 0), (20, 2, 2), (30, 2, 4), (40, 2, 6), (43, 2, 6)]
    assert timeline.samples[-1].flows == 1


@pytest.mark.parametrize("pause", [0.01, 0.3, 7.0, 3600.0])
def test_there_are_never_too_many(pause):
    lab = Lab()
    timeline = Timeline(lab.box)
    for _ in range(3000):
        timeline.advance(lab.now)
        lab.now += int(pause * SECOND)
    timeline.finish(lab.now)
    times = [sample.time for sample in timeline.samples]
    assert len(times) <= MOST + 2
    assert times == sorted(set(times))
    assert times[-1] >= int(2999 * pause * SECOND)


def test_no_height_and_no_width():
    still = Sample(0, 0, 0, 0, 0, 0, 0)
    assert draw([still]) == ""
    assert "nan" not in draw([still, still._replace(time=SECOND)])
    assert "&lt;b&gt;" in page("<b>", [], "")


def test_stacked_from_the_bottom():
    """The areas end where the next begins, and the whole is all packets."""
    samples = [Sample(0, 0, 0, 0, 0, 0, 0), Sample(SECOND, 10, 20, 30, 1, 2, 0)]
    drawn = ElementTree.fromstring(draw(samples))
    tops = [
        min(float(point.split(",")[1]) for point in re.findall(r"\S+,\S+", polygon.get("points") or ""))
        for polygon in drawn.iter(f"{SVG}polygon")
    ]
    base = 34 + 220
    assert [round((base - top) / 220 * 100) for top in tops] == [60, 50, 30]
