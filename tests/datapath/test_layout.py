"""Python and C agree on every structure: the C compiler checks the offsets that the header states."""

from __future__ import annotations

from importlib.resources import files

from flowtable.datapath.header import layout_header


def test_the_header_is_that_of_the_declaration():
    header = (files("flowtable.datapath") / "c" / "layout.h").read_text()
    assert header == layout_header(), "run tools/generate-layout"
