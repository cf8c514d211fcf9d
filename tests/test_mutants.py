"""The deliberate faults of ``make mutants`` can still be applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutants.faults import FAULTS
from scenarios.folder import folders

SOURCE = Path(__file__).resolve().parent.parent / "src" / "flowtable"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_applies_once_and_is_python(fault):
    text = (SOURCE / fault.file).read_text()
    assert text.count(fault.before) == 1, "the source has changed: say anew where the fault goes"
    compile(text.replace(fault.before, fault.after), fault.file, "exec")
    assert folders(fault.topics.split())


def test_faults_have_names_of_their_own():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40
