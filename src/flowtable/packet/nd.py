"""Neighbour discovery (RFC 4861): solicitations, advertisements, redirects, and their options.

A message counts only with hop limit 255 and code 0 (sections 6.1 and 7.1). The code is checked
here; the hop limit, which stands in the IPv6 header, and the checksum are for the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

from flowtable.packet import icmpv6
from flowtable.packet.malformed import Malformed
from flowtable.packet.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

HOP_LIMIT: Final = 255
"""A message from off the link cannot have it."""

# Option types (RFC 4861 section 4.6).
SOURCE_LLADDR: Final = 1
TARGET_LLADDR: Final = 2
PREFIX: Final = 3
REDIRECTED: Final = 4
MTU: Final = 5

# Flags of a neighbour advertisement (section 4.4).
ROUTER: Final = 0x80000000
SOLICITED: Final = 0x40000000
OVERRIDE: Final = 0x20000000


class Prefix(NamedTuple):
    """A prefix information option (section 4.6.2).

    Attributes:
        prefix: 16 bytes, zero behind the prefix length.
        prefixlen: in bits.
        on_link: addresses in it are on the link.
        autonomous: hosts may make addresses in it.
        valid: for how many seconds it is on the link, 0xffffffff for ever.
        preferred: for how many seconds addresses in it are preferred, 0xffffffff for ever.
    """

    prefix: bytes
    prefixlen: int
    on_link: bool
    autonomous: bool
    valid: int
    preferred: int


class Message(View):
    """What the five messages share: a fixed part, and options behind it."""

    __slots__ = ()

    KIND: ClassVar[int]

    def check(self) -> Self:
        """See ``View.check``: type, code 0, options whose lengths are positive and fit."""
        super().check()
        if self._u8(0) != self.KIND:
            raise Malformed(f"ICMPv6 type {self._u8(0)} is not a {self.NAME}", self.offset)
        if self._u8(1):
            raise Malformed(f"{self.NAME} with code {self._u8(1)}", self.offset + 1)
        at = self.offset + self.SIZE
        end = min(self.end, len(self.buffer))
        while at < end:
            if end < at + 2 or self.buffer[at + 1] == 0 or end < at + self.buffer[at + 1] * 8:
                raise Malformed("neighbour discovery option of a wrong length", at)
            at += self.buffer[at + 1] * 8
        return self

    @property
    def options(self) -> Iterator[tuple[int, bytes]]:
        """Type and data of each option."""
        at = self.offset + self.SIZE
        while at < self.end:
            size = self.buffer[at + 1] * 8
            yield self.buffer[at], bytes(self.buffer[at + 2 : at + size])
            at += size

    @property
    def source_lladdr(self) -> bytes | None:
        """MAC address of the sender, None without the option."""
        return self._lladdr(SOURCE_LLADDR)

    @property
    def target_lladdr(self) -> bytes | None:
        """MAC address of the target, None without the option."""
        return self._lladdr(TARGET_LLADDR)

    @property
    def mtu(self) -> int | None:
        """MTU of the link, None without the option."""
        for kind, value in self.options:
            if kind == MTU and len(value) == 6:
                return int.from_bytes(value[2:], "big")
        return None

    @property
    def prefixes(self) -> list[Prefix]:
        """The prefix information options."""
        return [
            Prefix(
                value[14:30],
                value[0],
                bool(value[1] & 0x80),
                bool(value[1] & 0x40),
                int.from_bytes(value[2:6], "big"),
                int.from_bytes(value[6:10], "big"),
            )
            for kind, value in self.options
            if kind == PREFIX and len(value) == 30
        ]

    def _lladdr(self, wanted: int) -> bytes | None:
        for kind, value in self.options:
            if kind == wanted and len(value) == 6:
                return value
        return None


class RouterSolicitation(Message):
    """Section 4.1."""

    __slots__ = ()

    NAME: ClassVar[str] = "router solicitation"
    SIZE: ClassVar[int] = 8
    KIND: ClassVar[int] = icmpv6.ROUTER_SOLICITATION


class RouterAdvertisement(Message):
    """Section 4.2."""

    __slots__ = ()

    NAME: ClassVar[str] = "router advertisement"
    SIZE: ClassVar[int] = 16
    KIND: ClassVar[int] = icmpv6.ROUTER_ADVERTISEMENT

    @property
    def hop_limit(self) -> int:
        """Hop limit for hosts to send with, 0 if not told."""
        return self._u8(4)

    @property
    def managed(self) -> bool:
        """Addresses come from DHCPv6."""
        return bool(self._u8(5) & 0x80)

    @property
    def other_config(self) -> bool:
        """Other configuration comes from DHCPv6."""
        return bool(self._u8(5) & 0x40)

    @property
    def lifetime(self) -> int:
        """Seconds for which the sender is a default router, 0 if it is none."""
        return self._u16(6)

    @property
    def reachable_time(self) -> int:
        """Milliseconds for which a neighbour counts as reachable, 0 if not told."""
        return self._u32(8)

    @property
    def retransmit_time(self) -> int:
        """Milliseconds between solicitations, 0 if not told."""
        return self._u32(12)


class NeighbourSolicitation(Message):
    """Section 4.3."""

    __slots__ = ()

    NAME: ClassVar[str] = "neighbour solicitation"
    SIZE: ClassVar[int] = 24
    KIND: ClassVar[int] = icmpv6.NEIGHBOUR_SOLICITATION

    @property
    def target(self) -> bytes:
        """The address whose MAC address is asked for."""
        return self._bytes(8, 24)


class NeighbourAdvertisement(Message):
    """Section 4.4."""

    __slots__ = ()

    NAME: ClassVar[str] = "neighbour advertisement"
    SIZE: ClassVar[int] = 24
    KIND: ClassVar[int] = icmpv6.NEIGHBOUR_ADVERTISEMENT

    @property
    def router(self) -> bool:
        """The sender is a router."""
        return bool(self._u32(4) & ROUTER)

    @property
    def solicited(self) -> bool:
        """It answers a solicitation."""
        return bool(self._u32(4) & SOLICITED)

    @property
    def override(self) -> bool:
        """It replaces a MAC address already known."""
        return bool(self._u32(4) & OVERRIDE)

    @property
    def target(self) -> bytes:
        """The address it is about."""
        return self._bytes(8, 24)


class Redirect(Message):
    """Section 4.5."""

    __slots__ = ()

    NAME: ClassVar[str] = "redirect"
    SIZE: ClassVar[int] = 40
    KIND: ClassVar[int] = icmpv6.REDIRECT

    @property
    def target(self) -> bytes:
        """The better first hop."""
        return self._bytes(8, 24)

    @property
    def destination(self) -> bytes:
        """The address that it is the better first hop to."""
        return self._bytes(24, 40)

    @property
    def redirected(self) -> bytes | None:
        """The packet that caused it, as far as it is quoted, None without the option."""
        for kind, value in self.options:
            if kind == REDIRECTED and len(value) > 6:
                return value[6:]
        return None


def lladdr_option(kind: int, mac: bytes) -> bytes:
    """A ``SOURCE_LLADDR`` or ``TARGET_LLADDR`` option."""
    return bytes((kind, 1)) + mac


def mtu_option(mtu: int) -> bytes:
    """An ``MTU`` option."""
    return bytes((MTU, 1, 0, 0)) + mtu.to_bytes(4, "big")


def prefix_option(prefix: Prefix) -> bytes:
    """A ``PREFIX`` option."""
    return b"".join(
        (
            bytes((PREFIX, 4, prefix.prefixlen, prefix.on_link << 7 | prefix.autonomous << 6)),
            prefix.valid.to_bytes(4, "big"),
            prefix.preferred.to_bytes(4, "big"),
            bytes(4),
            prefix.prefix,
        )
    )


def redirected_option(original: bytes | bytearray, room: int) -> bytes:
    """A ``REDIRECTED`` option that quotes a packet and takes at most ``room`` bytes.

    Ref: net/ipv6/ndisc.c:ndisc_fill_redirect_hdr_option.
    """
    size = min(room, len(original) + 8) & ~7
    return bytes((REDIRECTED, size >> 3)) + bytes(6) + bytes(original[: size - 8])


def build_router_solicitation(*options: bytes, addresses: bytes) -> bytes:
    """A router solicitation; ``addresses`` are source and destination, for the checksum."""
    return icmpv6.build(icmpv6.ROUTER_SOLICITATION, payload=b"".join(options), addresses=addresses)


def build_router_advertisement(
    *options: bytes,
    addresses: bytes,
    hop_limit: int = 64,
    managed: bool = False,
    other_config: bool = False,
    lifetime: int = 1800,
    reachable_time: int = 0,
    retransmit_time: int = 0,
) -> bytes:
    """A router advertisement; ``addresses`` are source and destination, for the checksum."""
    rest = hop_limit << 24 | managed << 23 | other_config << 22 | lifetime
    times = reachable_time.to_bytes(4, "big") + retransmit_time.to_bytes(4, "big")
    return icmpv6.build(icmpv6.ROUTER_ADVERTISEMENT, 0, rest, times + b"".join(options), addresses=addresses)


def build_neighbour_solicitation(target: bytes, *options: bytes, addresses: bytes) -> bytes:
    """A neighbour solicitation; ``addresses`` are source and destination, for the checksum."""
    payload = target + b"".join(options)
    return icmpv6.build(icmpv6.NEIGHBOUR_SOLICITATION, payload=payload, addresses=addresses)


def build_neighbour_advertisement(target: bytes, *options: bytes, addresses: bytes, flags: int) -> bytes:
    """A neighbour advertisement.

    Args:
        target: the address it is about.
        options: options.
        addresses: source and destination address behind each other, for the checksum.
        flags: any of ``ROUTER``, ``SOLICITED``, ``OVERRIDE``.
    """
    payload = target + b"".join(options)
    return icmpv6.build(icmpv6.NEIGHBOUR_ADVERTISEMENT, 0, flags, payload, addresses=addresses)


def build_redirect(target: bytes, destination: bytes, *options: bytes, addresses: bytes) -> bytes:
    """A redirect of ``destination`` to ``target``.

    Args:
        target: the better first hop, or the destination itself if that is on the link.
        destination: the address that it is the better first hop to.
        options: options.
        addresses: source and destination address behind each other, for the checksum.
    """
    payload = target + destination + b"".join(options)
    return icmpv6.build(icmpv6.REDIRECT, payload=payload, addresses=addresses)


def solicited_node(address: bytes) -> bytes:
    """The multicast group on which a host is solicited (RFC 4291 section 2.7.1)."""
    return _SOLICITED_NODE + address[13:]


_SOLICITED_NODE: Final = bytes.fromhex("ff02 0000 0000 0000 0000 0001 ff")
