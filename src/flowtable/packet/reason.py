"""Reasons: why something happened to a packet or a flow."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """An enum of reasons; a member's value is its text, its effect and its reference.

    Attributes:
        text: the reason in one line.
        effect: what happens to the packet, and to the flow or connection if there is one.
        ref: where the kernel decides so.
    """

    text: str
    effect: str
    ref: str

    def __init__(self, text: str, effect: str, ref: str) -> None:
        self.text = text
        self.effect = effect
        self.ref = ref

    # Reasons are counted per packet; Enum's own hash is a Python function.
    __hash__ = object.__hash__
