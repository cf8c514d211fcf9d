"""docs/fidelity.md, made of what the scenarios came to."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from scenarios.folder import SCENARIOS, Folder, folders, yaml
from scenarios.judge import DEFAULT, KERNEL, Verdict, intended, judge, not_yet

PAGE: Final = SCENARIOS.parent.parent / "docs" / "fidelity.md"
_RECORDED: Final = "Linux 6.12"

_HEAD: Final = """\
# Fidelity

What `flowtable` does is held against what Linux does, byte for byte: {count} [scenarios](scenarios.md) were
played on real kernels, and every one of them is replayed by `make truth` and `make test`. This page is made
of the results by `tools/write-fidelity`; a test holds it to them.

## By topic

A scenario is *same* if every frame on every device, the connection list and all counters are those of the
recorded kernel. The profile `linux-6.12` has to be the same throughout; `default` may differ on purpose, for
the reasons below. The last column counts the scenarios in which a common kernel without flowtables did the
same as Linux 6.12, of those that it can play.

| topic | scenarios | `linux-6.12`: same | not yet | `default`: same | on purpose | also {others} |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

## Where the default profile differs on purpose

{intended}

## What is not done yet

{not_yet}

## What the kernel really does

Where the kernel's documentation or a reading of its sources is wrong, silent or uncertain, a scenario tells.

{findings}
"""


def page() -> str:
    """The whole page."""
    found = folders()
    others = sorted({kernel for folder in found for kernel in _kernels(folder)} - {_RECORDED})
    topics = sorted({folder.topic for folder in found})
    rows = [_row(topic, [each for each in found if each.topic == topic]) for topic in topics]
    rows.append(_row("**all**", found))
    return _HEAD.format(
        count=len(found),
        others=", ".join(others),
        rows="\n".join(rows),
        intended="\n".join(_listed(intended())),
        not_yet="\n".join(_listed(not_yet())) or "Nothing.",
        findings="\n".join(_finding(each) for each in _findings()),
    )


def _kernels(folder: Folder) -> list[str]:
    """``Linux 6.12`` and its like: the kernels that did the same in a scenario."""
    names = (line.partition(",")[0] for line in folder.text("about.txt").splitlines())
    return [".".join(name.split(".")[:2]) for name in names]


def _row(topic: str, found: list[Folder]) -> str:
    kernel = Counter(judge(folder, KERNEL).verdict for folder in found)
    default = Counter(judge(folder, DEFAULT).verdict for folder in found)
    other = sum(len(_kernels(folder)) > 1 for folder in found)
    playable = sum(not folder.oracle_only for folder in found)
    cells = [
        topic,
        len(found),
        kernel[Verdict.IDENTICAL],
        kernel[Verdict.NOT_YET] or "",
        default[Verdict.IDENTICAL],
        default[Verdict.INTENDED] or "",
        f"{other} of {playable}" if playable else "",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _listed(reasons: dict[str, str]) -> list[str]:
    """Reasons with their scenarios, those of one reason together."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(f"`{name}`")
    return [f"- {reason[0].upper()}{reason[1:]}: {', '.join(each)}." for reason, each in names.items()]


def _findings() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml((SCENARIOS / "findings.yaml").read_text())
    return found


def _finding(found: dict[str, Any]) -> str:
    shown = ", ".join(f"`{name}`" for name in found["shown"])
    return f"- {found['truth']} ({shown})"


def write(path: Path = PAGE) -> None:
    """Write the page."""
    path.write_text(page())
