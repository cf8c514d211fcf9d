"""The box against recorded truth: what Linux made of the scenarios of ``tests/scenarios``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.datapath.tables import settings
from flowtable.profile import PROFILES
from scenarios.author import WRITTEN
from scenarios.fidelity import PAGE, page
from scenarios.folder import RECORDED, SCENARIOS, Folder, folders, yaml
from scenarios.judge import DEFAULT, KERNEL, Verdict, intended, judge, not_modelled, outcome, playable
from scenarios.kernel_path import Beside, stage
from scenarios.machine.namespace import Namespace
from scenarios.replay import replay
from scenarios.topics import describe
from tests.namespace import ROOT, require

FOLDERS = folders()
PLAYABLE = playable()
DATAPATHS = (ReferenceDatapath, NativeDatapath)


def name(folder: Folder) -> str:
    return folder.name


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
@pytest.mark.parametrize("datapath", DATAPATHS)
def test_the_profile_of_the_recorded_kernel_is_identical(folder, datapath):
    judgement = judge(folder, KERNEL, datapath)
    assert judgement.verdict in (Verdict.IDENTICAL, Verdict.NOT_MODELLED), "\n".join(judgement.found)


@pytest.mark.parametrize("folder", FOLDERS, ids=name)
@pytest.mark.parametrize("datapath", DATAPATHS)
def test_the_default_profile_is_identical_or_says_why_not(folder, datapath):
    judgement = judge(folder, DEFAULT, datapath)
    assert judgement.verdict is not Verdict.DIFFERENT, "\n".join(judgement.found)


@pytest.mark.parametrize("folder", PLAYABLE, ids=name)
def test_the_fast_path_in_c_makes_the_same_of_it(folder):
    expected = outcome(folder, KERNEL, ReferenceDatapath)
    assert outcome(folder, KERNEL, NativeDatapath) == expected
    assert replay(folder, PROFILES[KERNEL], NativeDatapath, bursts=True) == expected


@pytest.fixture(scope="module")
def devices() -> Iterator[Namespace]:
    require()
    namespace = stage()
    yield namespace
    namespace.close()


@pytest.mark.skipif(not ROOT, reason="loading a BPF program takes root")
@pytest.mark.parametrize("profile", [KERNEL, DEFAULT])
@pytest.mark.parametrize("folder", [each for each in PLAYABLE if each.has_flowtable], ids=name)
def test_the_fast_path_in_the_kernel_makes_the_same_of_it(folder, profile, devices):
    beside = Beside()
    with devices.inside():
        replay(folder, PROFILES[profile], beside)
    assert not beside.found
    assert beside.frames


@pytest.mark.skipif(not ROOT, reason="loading a BPF program takes root")
def test_what_the_kernel_does_otherwise_is_found(devices, monkeypatch):
    monkeypatch.setattr(
        "scenarios.kernel_path.settings", lambda family, _: settings(family, PROFILES[DEFAULT])
    )
    beside = Beside()
    with devices.inside():
        replay(folders(["vlan/priority-bits"])[0], PROFILES[KERNEL], beside)
    assert any("XDP_REDIRECT" in found and "expected a miss" in found for found in beside.found)


def test_nothing_is_drawn_at_random():
    for folder in folders(["answers", "nat"]):
        assert replay(folder, PROFILES[KERNEL]) == replay(folder, PROFILES[KERNEL])


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
    names = {folder.name for folder in FOLDERS}
    assert set(intended()) <= names - set(not_modelled())
    assert set(not_modelled()) <= names
    for finding in yaml((SCENARIOS / "findings.yaml").read_text()):
        assert set(finding["shown"]) <= names


def test_the_fidelity_page_is_what_the_scenarios_came_to():
    assert PAGE.read_text() == page(), "run tools/write-fidelity"
