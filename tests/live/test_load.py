"""Rules into the kernel and out again."""

from __future__ import annotations

import json
import subprocess
import sys
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.live.generation import Change, read_change
from tests.namespace import UNSHARE, require

PRELUDE = """
import json, subprocess, sys
from pathlib import Path
from flowtable.live.generation import Generations
from flowtable.live.load import LoadError, Rules, TableId
path = Path(sys.argv[1])
def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
def listing():
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
X, Y = TableId("inet", "x"), TableId("ip", "y")
"""


@pytest.fixture
def kernel(tmp_path):
    """Runs a script in a network namespace; what it prints."""
    require("nft")

    def run(script: str):
        command = [*UNSHARE, sys.executable, "-c", PRELUDE + script, str(tmp_path / "state.json")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_what_was_there_before_comes_back(kernel):
    before, during, after = kernel("""
nft('add table ip keep; add table inet x; add chain inet x old')
nft('add rule inet x old counter packets 3 bytes 4')
print(json.dumps(listing()))
rules = Rules(path)
rules.load('flush ruleset; add table inet x; add chain inet x new; add table ip y', [X, Y])
print(json.dumps(listing()))
rules.undo()
print(json.dumps(listing()))
""")
    assert "chain new" in during
    assert "keep" not in during
    assert after == before


def test_a_table_that_rules_are_added_to_is_as_before_in_the_end(kernel):
    (after,) = kernel("""
nft('add table inet x; add chain inet x old')
rules = Rules(path)
rules.load('add table inet x; add chain inet x new', [X])
assert 'old' in listing() and 'new' in listing()
rules.load('add table inet x; add chain inet x newer', [X])
assert 'new ' not in listing()
rules.undo()
print(json.dumps(listing()))
""")
    assert after == "table inet x {\n\tchain old {\n\t}\n}\n"


def test_the_rules_of_a_service_that_died_are_taken_over(kernel):
    (after, state) = kernel("""
nft('add table inet x; add chain inet x old')
Rules(path).load('flush ruleset; add table inet x; add chain inet x new', [X])
again = Rules(path)
assert again.loaded
again.load('add table inet x; add chain inet x new', [X])
assert listing().count('chain new') == 1
again.undo()
print(json.dumps(listing()))
print(json.dumps(path.exists()))
""")
    assert after == "table inet x {\n\tchain old {\n\t}\n}\n"
    assert state is False


def test_rules_that_nft_refuses_change_nothing(kernel):
    (message,) = kernel("""
rules = Rules(path)
rules.load('add table inet x; add chain inet x one', [X])
try:
    rules.load('add table inet x; add chain inet x two; nonsense', [X])
except LoadError as error:
    print(json.dumps(str(error)))
assert 'one' in listing() and rules.loaded
""")
    assert "syntax error" in message


def test_tables_that_somebody_replaced_are_theirs(kernel):
    (after,) = kernel("""
rules = Rules(path)
rules.load('add table inet x; add chain inet x ours; add table ip y', [X, Y])
assert rules.replaced() == []
nft('flush ruleset; add table inet x; add chain inet x theirs')
assert rules.replaced() == [X, Y] or rules.replaced() == [Y, X]
rules.undo()
print(json.dumps(listing()))
""")
    assert after == "table inet x {\n\tchain theirs {\n\t}\n}\n"


def test_rules_that_are_kept_stay(kernel):
    (after,) = kernel("""
rules = Rules(path)
rules.load('add table inet x', [X])
rules.forget()
assert not Rules(path).loaded
rules.undo()
print(json.dumps(listing()))
""")
    assert after == "table inet x {\n}\n"


def test_what_is_remembered_of_another_namespace_or_is_damaged_counts_for_nothing(kernel):
    kernel("""
rules = Rules(path)
rules.load('add table inet x', [X])
document = json.loads(path.read_text())
for damaged in ('', '[]', '{', '{"cookie": 1}', json.dumps(document | {'cookie': 1}),
                json.dumps(document | {'ours': [1]}), json.dumps(document | {'before': None})):
    path.write_text(damaged)
    assert not Rules(path).loaded, damaged
""")


def test_whoever_changes_rules_is_named(kernel):
    ((name, known), rest) = kernel("""
generations = Generations()
nft('add table inet x; add chain inet x y; add rule inet x y counter')
(change,) = generations.read()
print(json.dumps([change.name, change.pid > 0]))
print(json.dumps(generations.read()))
""")
    assert (name, known, rest) == ("nft", True, [])


def test_a_change_is_read():
    attributes = pack("=HH", 8, 2) + (77).to_bytes(4) + pack("=HH", 8, 3) + b"nft\0"
    assert read_change(bytes(20) + attributes) == Change(77, "nft")


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_message_is_a_change(message: bytes):
    assert isinstance(read_change(message), Change)
