"""docs/fidelity.md, made of what the scenarios came to."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath
from scenarios.folder import SCENARIOS, Folder, folders, yaml
from scenarios.judge import DEFAULT, KERNEL, Verdict, intended, judge, not_modelled

PAGE: Final = SCENARIOS.parent.parent / "docs" / "fidelity.md"
_RECORDED: Final = "Linux 6.12"
_NOTHING: Final = "–"

_HEAD: Final = """\
# Fidelity

What `flowtable` does is held against what Linux does, byte for byte: {count} [scenarios](scenarios.md) were
played on real kernels, and every one of them is replayed by `make truth` and `make test`. This page is made
of the results by `tools/write-fidelity`; a test holds it to them.

## By topic

The columns are the three places where packets are forwarded:

- **offline**: `flowtable run --datapath reference`, all of it in Python, the executable specification;
- **native**: `flowtable run` as it is without a word: the fast path in C;
- **xdp**: the fast path in the kernel. Every frame of a scenario that reaches its flowtable goes through
  the program (BPF_PROG_TEST_RUN) and through the reference; bytes, verdicts, reasons, ended flows and
  counts have to be the same. Connection tracking and rules are the kernel's own there, so there is nothing
  to compare without a flowtable.

A scenario is the *same as Linux 6.12* if, with the profile `linux-6.12`, every frame on every device, the
connection list and all counters are those that were recorded. *{others}* is the kernel of the machine that
builds: it has no flowtables, VLANs, PPPoE or IPsec, and did the same in so many of the scenarios that it
can play. *On purpose* are the scenarios in which the profile `default` differs, for the reasons below; in
all others it is the same as Linux, too.

{rows}

{topics}

## Where the default profile differs on purpose

{intended}

The fast path in the kernel differs in three more ways, with every profile: frames that are not for the
box's station take the classic path, and so do packets through tunnels and packets to a neighbour whose MAC
address nobody knows.

## What is not modelled

{not_modelled}
- A helper reads what is said on a connection and expects others by it; here it only keeps a connection off
  the fast path. So no sequence numbers are adjusted, which would keep it off as well.
- Two packets at once: what happens when the first packets of one connection are on their way on two
  processors, such as the clash that keeps a connection off the fast path. Here one packet follows the
  other.
- DCCP, which Linux 6.12 tracks and later kernels do not, is tracked by its addresses alone.
- Devices whose far end is a program or a cipher: tun, WireGuard, OpenVPN.

## What the kernel really does

Where the kernel's documentation or a reading of its sources is wrong, silent or uncertain, a scenario
tells.

{findings}
"""


def page() -> str:
    """The whole page."""
    found = folders()
    others = sorted({kernel for folder in found for kernel in _kernels(folder)} - {_RECORDED})
    topics = sorted({folder.topic for folder in found})
    rows = [_line(*_columns(", ".join(others))), _line(*["---"] * 10)]
    rows += [_row(topic, [each for each in found if each.topic == topic]) for topic in topics]
    rows.append(_row("**all**", found))
    return _HEAD.format(
        count=len(found),
        others=", ".join(others),
        rows="\n".join(rows),
        topics="\n".join(f"- `{topic}`: {_about(topic)}" for topic in topics),
        intended="\n".join(_listed(intended())),
        not_modelled="\n".join(_listed(not_modelled())),
        findings="\n\n".join(_found(topic) for topic in topics if _findings(topic)),
    )


def _about(topic: str) -> str:
    """The first line of what a topic's module says of itself."""
    module = importlib.import_module(f"scenarios.topics.{topic.replace('-', '_')}")
    return (module.__doc__ or "").partition("\n")[0]


def _columns(others: str) -> list[str]:
    """The head of the table."""
    compared = [
        column
        for place in ("offline", "native")
        for column in (f"{place}: {_RECORDED}", f"{place}: {others}", f"{place}: on purpose")
    ]
    return ["topic", "scenarios", *compared, f"xdp: {_RECORDED}", "not modelled"]


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _kernels(folder: Folder) -> list[str]:
    """``Linux 6.12`` and its like: the kernels that did the same in a scenario."""
    names = (line.partition(",")[0] for line in folder.text("about.txt").splitlines())
    return [".".join(name.split(".")[:2]) for name in names]


def _row(topic: str, found: list[Folder]) -> str:
    cells: list[object] = [topic, len(found)]
    for datapath in (ReferenceDatapath, NativeDatapath):
        same = [each for each in found if judge(each, KERNEL, datapath).verdict is Verdict.IDENTICAL]
        differing = [each for each in found if judge(each, DEFAULT, datapath).verdict is Verdict.INTENDED]
        playable = [each for each in found if not each.oracle_only]
        confirmed = [each for each in same if len(_kernels(each)) > 1]
        cells += [
            len(same),
            f"{len(confirmed)} of {len(playable)}" if playable else _NOTHING,
            len(differing) or "",
        ]
    fast = [each for each in found if each.has_flowtable and each.name not in not_modelled()]
    cells += [len(fast) or _NOTHING, sum(each.name in not_modelled() for each in found) or ""]
    return _line(*cells)


def _listed(reasons: dict[str, str]) -> list[str]:
    """Reasons with their scenarios, those of one reason together."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(f"`{name}`")
    return [f"- {reason[0].upper()}{reason[1:]}: {', '.join(each)}." for reason, each in names.items()]


def _findings(topic: str) -> list[dict[str, Any]]:
    """What the scenarios of a topic were the first to show."""
    found: list[dict[str, Any]] = yaml((SCENARIOS / "findings.yaml").read_text())
    return [each for each in found if each["shown"][0].partition("/")[0] == topic]


def _found(topic: str) -> str:
    lines = [f"### {topic}", ""]
    for finding in _findings(topic):
        shown = ", ".join(f"`{name}`" for name in finding["shown"])
        lines.append(f"- {finding['truth']} ({shown})")
    return "\n".join(lines)


def write(path: Path = PAGE) -> None:
    """Write the page."""
    path.write_text(page())
