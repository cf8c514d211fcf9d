"""The corpus: rulesets in the shapes of routers, servers and container hosts (tests/rulesets/).

What every kernel can load is held against this one's nft; what needs flowtables or queues against
what Linux 6.12 listed (tests/rulesets/recorded/).
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import pytest

from flowtable.explain.lints import Subject, check
from flowtable.ruleset import Ruleset, execute, parse, print_ruleset
from flowtable.ruleset.files import Files
from flowtable.ruleset.json.writer import print_json
from flowtable.ruleset.layout import lay_out
from tests.ruleset.real_nft import listings

HERE = Path(__file__).parent.parent / "rulesets"
FILES = {path.stem: path.read_text() for path in sorted(HERE.glob("*.nft"))}
RECORDED = {path.stem: path.read_text() for path in (HERE / "recorded").glob("*.listing")}
HARDWARE = ["fw4-offload-hardware"]
"""No device of a virtual machine takes ``flags offload``."""
PLAIN = [name for name in FILES if name not in RECORDED and name not in HARDWARE]
DEVICES = ("eth0=eth1", "eth2=wan0")


def load(text: str, name: str) -> Ruleset:
    include = Files([HERE / "include"])
    return execute(Ruleset(), text, f"{name}.nft", read_include=include).ruleset


@functools.cache
def real(command: str) -> dict[str, str]:
    """What the running kernel's nft lists of each plain file."""
    outputs = listings([FILES[name] for name in PLAIN], command, DEVICES, HERE / "include")
    assert not [error for _, error in outputs if error]
    return dict(zip(PLAIN, (output for output, _ in outputs), strict=True))


def without_table_handles(listing: str) -> str:
    """Tables are counted from the boot of the machine on."""
    return re.sub(r"(?m)^(table .*) # handle \d+$", r"\1", listing)


def test_there_are_enough() -> None:
    assert len(FILES) >= 60
    assert not [name for name in PLAIN if "flowtable " in FILES[name]]
    assert set(RECORDED) <= set(FILES)


@pytest.mark.parametrize("name", PLAIN)
def test_listing_is_that_of_the_running_kernel(name: str) -> None:
    listing = print_ruleset(load(FILES[name], name), handles=True)
    assert without_table_handles(listing) == without_table_handles(real("-a list ruleset")[name])


@pytest.mark.parametrize("name", RECORDED)
def test_listing_is_that_of_linux_6_12(name: str) -> None:
    listing = print_ruleset(load(FILES[name], name), handles=True)
    assert without_table_handles(listing) == without_table_handles(RECORDED[name])


@pytest.mark.parametrize("name", FILES)
def test_a_listing_reads_back_as_its_ruleset(name: str) -> None:
    listing = print_ruleset(load(FILES[name], name))
    assert print_ruleset(parse(listing, "listing.nft")) == listing


@pytest.mark.parametrize("name", FILES)
def test_a_document_reads_back_as_its_ruleset(name: str) -> None:
    ruleset = load(FILES[name], name)
    assert print_ruleset(parse(print_json(ruleset), "x.json")) == print_ruleset(ruleset)


@pytest.mark.parametrize("name", PLAIN)
def test_documents_of_the_real_nft_read_back(name: str) -> None:
    """All rules, and all else but what that nft loses on the way to JSON."""
    ruleset = load(FILES[name], name)
    items = json.loads(real("-j list ruleset")[name])["nftables"]
    for item in items:
        table = item.get("table", {})
        if "flags" in table:
            assert table.pop("flags") not in ("dormant", ["dormant"]), "nft 1.0.6 writes nonsense here"
        chain = item.get("chain", {})
        if chain.get("hook") == "ingress":
            attachment = ruleset.table(chain["family"], chain["table"]).chains[chain["name"]].attachment
            assert attachment is not None
            chain["dev"] = list(attachment.devices)
    back = print_ruleset(parse(json.dumps({"nftables": items}), "x.json"))
    assert kept(back) == kept(print_ruleset(ruleset))


def kept(listing: str) -> list[str]:
    """The lines of a listing that JSON of nft 1.0.6 keeps."""
    lost = re.compile(r'(\t\tcomment "|\tcomment "|\tflags dormant|\t\tauto-merge|\t\tflags |\t\ttype|$)')
    return [line for line in listing.splitlines() if not lost.match(line) or " hook " in line]


@pytest.mark.parametrize("name", FILES)
def test_layout_is_stable_and_changes_no_meaning(name: str) -> None:
    laid_out = lay_out(FILES[name], name)
    assert lay_out(laid_out, name) == laid_out
    assert print_ruleset(load(laid_out, name)) == print_ruleset(load(FILES[name], name))


@pytest.mark.parametrize("name", FILES)
def test_lints_look_at_everything(name: str) -> None:
    include = Files([HERE / "include"])
    outcome = execute(Ruleset(), FILES[name], f"{name}.nft", read_include=include)
    for finding in check(Subject(outcome.ruleset, outcome.commands)):
        line = finding.span.source.line(finding.span.line)
        assert 0 < finding.span.first <= finding.span.last <= len(line), finding
