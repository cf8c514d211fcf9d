"""How listings write what can be written in several ways: the flags of ``nft list``."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


LOOPBACK: Final = 1
"""The loopback device is the first of every network namespace."""


class NftVersion(Enum):
    """Whose listings are meant, where versions of nft differ."""

    V1_0_6 = "1.0.6"
    V1_1 = "1.1"
    """1.1.4 and newer: names of devices are quoted."""


@dataclass(slots=True, frozen=True)
class Style:
    """The style of a listing.

    Attributes:
        priorities: priorities as numbers (``nft -y``).
        protocols: Internet protocols as numbers (``nft -p``).
        symbols: values that have names in the language as numbers (part of ``nft -n``).
        services: ports by the names of their services (``nft -S``).
        seconds: times as whole seconds (``nft -T``, and part of ``nft -n``).
        users: names of users by number, for ``nft -u``.
        groups: the same of groups.
        version: whose listings.
        devices: devices by index, for values that name them by that.
    """

    priorities: bool = False
    protocols: bool = False
    symbols: bool = False
    services: bool = False
    seconds: bool = False
    users: Mapping[int, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)
    version: NftVersion = NftVersion.V1_0_6
    devices: Mapping[int, str] = field(default_factory=lambda: {LOOPBACK: "lo"})


_PLAIN: Final = Style()
_STYLE: Final[ContextVar[Style]] = ContextVar("style", default=_PLAIN)


def style() -> Style:
    """The style of the listing that is being written."""
    return _STYLE.get()


@contextmanager
def styled(wanted: Style) -> Iterator[None]:
    """Write listings in a style."""
    token = _STYLE.set(wanted)
    try:
        yield
    finally:
        _STYLE.reset(token)
