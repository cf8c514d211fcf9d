"""A ruleset made ready to run on packets.

Ref: net/netfilter/nf_tables_core.c:nft_do_chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.packet.drop import Drop
from flowtable.packet.packet import IPV4, IPV6
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.packet.packet import Packet
    from flowtable.ruleset.family import Family
    from flowtable.ruleset.model import ChainType

    Walk = Callable[[Packet], int]

_ACCEPT: Final = int(Verdict.ACCEPT)
_DROP: Final = int(Verdict.DROP)


class BaseChain:
    """A base chain, called with each packet at its hook.

    The caller sets ``packet.hook`` first. The result is a ``Verdict``; where it is ``DROP``,
    ``packet.drop`` says why.

    Attributes:
        family: family of its table.
        table: name of its table.
        name: name of the chain.
        type: what the chain is for; a ``nat`` chain sees only the first packet of a connection.
        hook: where it is attached.
        priority: its place in the order of the hook.
        devices: the devices of an ingress or egress chain, empty elsewhere.
    """

    __slots__ = ("_policy", "_walk", "devices", "family", "hook", "name", "priority", "table", "type")

    def __init__(
        self,
        walk: Walk,
        *,
        family: Family,
        table: str,
        name: str,
        chain_type: ChainType,
        hook: Hook,
        priority: int,
        policy: Verdict,
        devices: tuple[str, ...] = (),
    ) -> None:
        self._walk = walk
        self._policy = int(policy)
        self.family = family
        self.table = table
        self.name = name
        self.type = chain_type
        self.hook = hook
        self.priority = priority
        self.devices = devices

    def __call__(self, packet: Packet) -> int:
        """Walk the chain; ``Verdict.ACCEPT`` goes on to the next chain of the hook."""
        verdict = self._walk(packet)
        if verdict == ENDED:
            if self._policy == _DROP:
                packet.drop = Drop.POLICY
            return self._policy
        return _ACCEPT if verdict == ACCEPTED else _DROP


ENDED: Final = 0
ACCEPTED: Final = 2


class Program:
    """The base chains of a ruleset by family and hook."""

    __slots__ = ("_chains", "_device_chains")

    def __init__(self, chains: list[BaseChain]) -> None:
        self._chains: dict[tuple[int, int], list[BaseChain]] = {
            (family, hook): [] for family in (IPV4, IPV6) for hook in Hook
        }
        self._device_chains: dict[tuple[str, int], list[BaseChain]] = {}
        for chain in sorted(chains, key=lambda chain: chain.priority):
            if chain.devices:
                for device in chain.devices:
                    self._device_chains.setdefault((device, chain.hook), []).append(chain)
            else:
                for family in _SEEN_BY[chain.family.value]:
                    self._chains[family, chain.hook].append(chain)

    def chains(self, family: int, hook: Hook) -> list[BaseChain]:
        """Chains that packets of ``family`` (``IPV4`` or ``IPV6``) meet at ``hook``, in order.

        The list is always the same object: it may be kept.
        """
        return self._chains[family, hook]

    def device_chains(self, device: str, hook: Hook) -> list[BaseChain]:
        """Ingress or egress chains of a device, in order."""
        return self._device_chains.get((device, hook), [])


_SEEN_BY: Final[dict[str, tuple[int, ...]]] = {
    "ip": (IPV4,),
    "ip6": (IPV6,),
    "inet": (IPV4, IPV6),
    "arp": (),
    "bridge": (),
    "netdev": (),
}
