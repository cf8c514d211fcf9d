"""Long rulesets: read, checked and written. Figures are of processor time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.row import Aim, Row, Unit
from benchmarks.traffic import ROUNDS
from flowtable.explain.lints import Subject, check
from flowtable.ruleset import parse, print_ruleset
from flowtable.ruleset.json.writer import print_json

RULE_COUNTS = (1000, 10_000)
RULE = (
    '\t\tip saddr 10.{a}.{b}.0/24 tcp dport {{ 22, {port} }} ct state new counter accept comment "rule {n}"\n'
)


def measured() -> Iterator[tuple[str, list[float]]]:
    """What is done with rulesets of so many rules, and the milliseconds of processor time for each size."""
    texts = [ruleset_text(count) for count in RULE_COUNTS]
    rulesets = [parse(text, "rules.nft") for text in texts]
    yield "load", [milliseconds(partial(parse, text, "rules.nft")) for text in texts]
    yield "check (lints)", [milliseconds(partial(check, Subject(ruleset))) for ruleset in rulesets]
    yield "print", [milliseconds(partial(print_ruleset, ruleset)) for ruleset in rulesets]
    yield "print as JSON", [milliseconds(partial(print_json, ruleset)) for ruleset in rulesets]


def ruleset_text(count: int) -> str:
    """A ruleset with so many rules in a chain."""
    rules = "".join(RULE.format(a=n >> 8 & 255, b=n & 255, port=1024 + n % 60_000, n=n) for n in range(count))
    return f"table inet t {{\n\tchain c {{\n\t\ttype filter hook forward priority 0\n{rules}\t}}\n}}\n"


def milliseconds(work: Callable[[], object]) -> float:
    """The best processor time of a few rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return best * 1000


def rows() -> Iterator[Row]:
    """Each kind of work, on a tenth of the rules and on all of them: ten times as long is linear."""
    few, many = RULE_COUNTS
    for work, (short, long) in measured():
        less = f"{work}, {few:,} rules"
        yield Row("rulesets", less, short, Unit.MILLISECONDS, size=few)
        yield Row(
            "rulesets",
            f"{work}, {many:,} rules",
            long,
            Unit.MILLISECONDS,
            less,
            long / short,
            many,
            Aim("<=", 15),
        )
