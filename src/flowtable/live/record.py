"""How a kernel without flowtables remembers them: each as a set of its devices, beside the rules.

So a flowtable comes and goes with the transaction that its table does, whoever makes it, and is
still there when the service has died. The name of the set is that of the flowtable behind
``flowtable-``; its comment says the rest::

    set flowtable-f {
        type ifname
        comment "hook ingress priority 0 counter label 127"
        elements = { "eth0", "eth1" }
    }

No rule refers to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowtable.live.mark import Carrier, Mark
from flowtable.ruleset.family import Family
from flowtable.ruleset.model import Flowtable
from flowtable.ruleset.source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowtable.ruleset.json.value import Json

Key = tuple[Family, str, str]
"""Family and name of a table, name of a flowtable."""

PREFIX: Final = "flowtable-"
_COMMENT: Final = re.compile(
    r"hook ingress priority (?P<priority>-?\d+)(?P<offload> flags offload)?(?P<counter> counter)?"
    r" (?P<carrier>label|mark) (?P<bit>\d+)"
)
_NOWHERE: Final = Span(Source("listing", ""), 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Kept:
    """A flowtable that the kernel remembers.

    Attributes:
        flowtable: what is declared.
        mark: what rules mark its connections with.
    """

    flowtable: Flowtable
    mark: Mark

    @property
    def key(self) -> Key:
        """Which one it is."""
        return self.flowtable.family, self.flowtable.table, self.flowtable.name

    @property
    def set_name(self) -> str:
        """Name of its set, family and table in front."""
        flowtable = self.flowtable
        return f"{flowtable.family.value} {flowtable.table} {PREFIX}{flowtable.name}"

    def added(self) -> str:
        """The command that adds its set."""
        flowtable = self.flowtable
        offload = " flags offload" if flowtable.offload else ""
        counter = " counter" if flowtable.counter else ""
        comment = f"hook ingress priority {flowtable.priority}{offload}{counter} {self.mark}"
        elements = f"; elements = {names(flowtable.devices)}" if flowtable.devices else ""
        return f'add set {self.set_name} {{ type ifname; comment "{comment}"{elements}; }}\n'


def names(devices: Iterable[str]) -> str:
    """Devices as elements of a set."""
    quoted = ", ".join(f'"{name}"' for name in devices)
    return f"{{ {quoted} }}"


def read_set(item: dict[str, Json]) -> Kept | None:
    """The flowtable that a set stands for, None if it stands for none.

    Args:
        item: a set as ``nft -j`` lists it, elements included.
    """
    name, comment = item.get("name"), item.get("comment")
    if not isinstance(name, str) or not name.startswith(PREFIX) or not isinstance(comment, str):
        return None
    found = _COMMENT.fullmatch(comment)
    if found is None:
        return None
    devices, handle = item.get("elem", []), item.get("handle", 0)
    assert isinstance(devices, list) and isinstance(handle, int)
    flowtable = Flowtable(
        Family(item["family"]),
        str(item["table"]),
        name.removeprefix(PREFIX),
        _NOWHERE,
        int(found["priority"]),
        tuple(sorted(map(str, devices))),
        counter=found["counter"] is not None,
        offload=found["offload"] is not None,
        handle=handle,
    )
    return Kept(flowtable, Mark(Carrier(found["carrier"]), int(found["bit"])))
