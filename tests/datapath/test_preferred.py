"""A box forwards in C where it can."""

from __future__ import annotations

import pytest

from flowtable.datapath import library
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.preferred import preferred
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.profile import DEFAULT
from flowtable.ruleset.family import Family
from tests.datapath.twins import Ends


def test_it_is_the_native_one():
    assert isinstance(preferred(Family.INET, DEFAULT, Ends()), NativeDatapath)


def test_without_the_library_it_is_the_reference_with_a_warning(monkeypatch):
    def missing():
        raise OSError("libflowtable.so: not found")

    monkeypatch.setattr(library, "load", missing)
    with pytest.warns(RuntimeWarning, match="no native datapath, .*libflowtable.so: not found"):
        datapath = preferred(Family.INET, DEFAULT, Ends())
    assert isinstance(datapath, ReferenceDatapath)
