"""Reasons and how often each occurred, for tables and documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flowtable.capture import Skip
from flowtable.packet.drop import Drop

if TYPE_CHECKING:
    from collections import Counter

    from flowtable.flows.hardware import OffloadFailure
    from flowtable.flows.refusal import Refusal
    from flowtable.flows.teardown import Teardown
    from flowtable.packet.miss import Miss

    Reason = Drop | Miss | OffloadFailure | Refusal | Skip | Teardown
    R = TypeVar("R", Drop, Miss, OffloadFailure, Refusal, Skip, Teardown)


def ranked(counts: Counter[R]) -> list[tuple[R, int]]:
    """The most frequent reason first; equally frequent ones as their enumeration has them."""
    if not counts:
        return []
    listed = [(reason, counts[reason]) for reason in type(next(iter(counts)))]
    return sorted((item for item in listed if item[1]), key=lambda item: -item[1])


def text(reason: Reason) -> str:
    """The reason in one line."""
    match reason:
        case Drop() | Skip():
            return str(reason.value)
        case _:
            return reason.text


def documented(counts: Counter[R]) -> list[dict[str, Any]]:
    """The reasons, ranked, with all that is known of them, for JSON."""
    return [{"reason": reason.name, "count": number, **_details(reason)} for reason, number in ranked(counts)]


def _details(reason: Reason) -> dict[str, str]:
    match reason:
        case Drop() | Skip():
            return {"text": text(reason)}
        case _:
            return {"text": reason.text, "effect": reason.effect, "ref": reason.ref}
