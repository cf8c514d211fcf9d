"""The box against recorded truth: what Linux made of the scenarios of ``tests/scenarios``."""

from __future__ import annotations

import pytest

from flowtable.datapath.native import NativeDatapath
from flowtable.profile import PROFILES
from scenarios.author import WRITTEN
from scenarios.fidelity import PAGE, page
from scenarios.folder import RECORDED, Folder, folders
from scenarios.judge import DEFAULT, KERNEL, Verdict, intended, judge, not_yet
from scenarios.replay import replay
from scenarios.topics import describe

FOLDERS = folders()


def name(folder: Folder) -> str:
    return folder.name


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_the_profile_of_the_recorded_kernel_is_identical(folder):
    judgement = judge(folder, KERNEL)
    assert judgement.verdict in (Verdict.IDENTICAL, Verdict.NOT_YET), "\n".join(judgement.found)


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_the_default_profile_is_identical_or_says_why_not(folder):
    judgement = judge(folder, DEFAULT)
    assert judgement.verdict is not Verdict.DIFFERENT, "\n".join(judgement.found)


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
def test_the_fast_path_in_c_makes_the_same_of_it(folder):
    profile = PROFILES[KERNEL]
    expected = replay(folder, profile)
    assert replay(folder, profile, NativeDatapath) == expected
    assert replay(folder, profile, NativeDatapath, bursts=True) == expected


def test_scenarios_are_what_their_descriptions_say(tmp_path):
    describe()
    assert set(WRITTEN) == {folder.name for folder in FOLDERS}
    for folder in FOLDERS:
        WRITTEN[folder.name].write(tmp_path / folder.name)
        written = {file.name: file.read_bytes() for file in (tmp_path / folder.name).iterdir()}
        there = {file.name: file.read_bytes() for file in folder.path.iterdir() if file.name not in RECORDED}
        assert there == written, f"{folder.name}: run tools/write-scenarios, then record it anew"


def test_everything_is_recorded():
    for folder in FOLDERS:
        for file in RECORDED:
            assert (folder.path / file).exists(), f"{folder.name}/{file}: run tools/record-scenario"


def test_reasons_are_of_scenarios():
    assert set(intended()) <= {folder.name for folder in FOLDERS} - set(not_yet())
    assert set(not_yet()) <= {folder.name for folder in FOLDERS}


def test_the_fidelity_page_is_what_the_scenarios_came_to():
    assert PAGE.read_text() == page(), "run tools/write-fidelity"
