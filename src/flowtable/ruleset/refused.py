"""What the kernel answers where it refuses something.

Ref: include/uapi/asm-generic/errno-base.h, as strerror words them.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.source import Diagnostic, RulesetError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.ruleset.source import Span

EBUSY: Final = "Device or resource busy"
EEXIST: Final = "File exists"
ENFILE: Final = "Too many open files in system"
ENOENT: Final = "No such file or directory"
EOPNOTSUPP: Final = "Operation not supported"
E2BIG: Final = "Argument list too long"


def refused(error: str, span: Span, hint: str | None = None) -> RulesetError:
    """The error that nft prints if the kernel refuses something, to be raised."""
    return RulesetError([Diagnostic(f"Could not process rule: {error}", span, hint=hint)])


def similar(name: str, names: Iterable[str]) -> str | None:
    """A hint that names the most similar of some names, None if none is similar."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean '{near[0]}'?" if near else None
