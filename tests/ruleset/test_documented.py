"""The examples that come with nft, where its package has them: the same listing, or the same first error."""

from __future__ import annotations

from pathlib import Path

from flowtable.ruleset import Ruleset, RulesetError, execute, print_ruleset
from flowtable.ruleset.files import Files
from tests.ruleset.real_nft import listings

FOLDER = Path("/usr/share/doc/nftables/examples")
ELSEWHERE = ("all-in-one", "overview", "secmark")
"""With files beside it, with devices of its author, and only for kernels with security marks."""
EXAMPLES = {
    path.stem: path.read_text() for path in sorted(FOLDER.glob("*.nft")) if path.stem not in ELSEWHERE
}
DEVICES = ("eth0=eth1", "eth2=eth3", "enp2s0=eth4")


def ours(text: str, name: str) -> tuple[str, str]:
    try:
        loaded = execute(Ruleset(), text, name, read_include=Files([FOLDER])).ruleset
    except RulesetError as error:
        return "", first(f"Error: {error.diagnostics[0].message}")
    return print_ruleset(loaded), ""


def first(errors: str) -> str:
    """The message of the first error, without what nft itself supposes was meant."""
    message = errors.split("\n")[0].partition("Error: ")[2]
    return message.removeprefix("Could not process rule: ").partition(";")[0]


def test_examples_of_nft() -> None:
    real = listings(list(EXAMPLES.values()), "list ruleset", DEVICES, FOLDER)
    expected = {name: (listing, first(error)) for name, (listing, error) in zip(EXAMPLES, real, strict=True)}
    assert {name: ours(text, f"{name}.nft") for name, text in EXAMPLES.items()} == expected
