from __future__ import annotations

import pytest

from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from tests.lab import Lab


@pytest.fixture(autouse=True, params=[ReferenceDatapath, NativeDatapath], ids=["reference", "native"])
def datapath(request, monkeypatch):
    """Every vector holds whatever forwards the packets."""
    monkeypatch.setattr(Lab, "datapath", request.param)
