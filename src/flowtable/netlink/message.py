"""Messages: bytes to messages, requests to bytes, and what the kernel says of a request that it refuses.

Ref: include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import IntFlag
from struct import Struct
from typing import Final, NamedTuple

from flowtable.netlink.attribute import attributes, text

HEADER: Final = Struct("=IHHII")
"""Length, type, flags, sequence number and port. Ref: nlmsghdr."""
_ERRNO: Final = Struct("=i")

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
_WORDS: Final = 1
"""Ref: NLMSGERR_ATTR_MSG."""


class Flag(IntFlag):
    """Flags of a message. Ref: NLM_F_*."""

    REQUEST = 0x1
    MULTI = 0x2
    """One of many answers."""
    ACK = 0x4
    DUMP_INTR = 0x10
    """The objects changed during the dump."""
    DUMP = 0x300
    REPLACE = 0x100
    EXCL = 0x200
    CREATE = 0x400
    APPEND = 0x800
    CAPPED = 0x100
    """Of an error: it repeats no more than the header of the request."""
    ACK_TLVS = 0x200
    """Of an error: attributes follow."""


_REQUEST: Final = int(Flag.REQUEST)
_CAPPED: Final = int(Flag.CAPPED)
_ACK_TLVS: Final = int(Flag.ACK_TLVS)


class NetlinkError(OSError):
    """The kernel refused a request.

    Attributes:
        words: what it said of it, empty where it said nothing.
    """

    def __init__(self, number: int, words: str = "") -> None:
        """The error of a number; ``strerror`` is what the C library calls it."""
        super().__init__(number, os.strerror(number))
        self.words = words


class Message(NamedTuple):
    """A message.

    Attributes:
        type: its type, of the protocol's own numbers.
        flags: bits of ``Flag``.
        sequence: number of the request that it answers, 0 for a notification.
        body: what follows the header.
    """

    type: int
    flags: int
    sequence: int
    body: bytes


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram; one that is cut short ends it."""
    offset, end = 0, len(data)
    while offset + HEADER.size <= end:
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size or offset + length > end:
            return
        yield Message(kind, flags, sequence, data[offset + HEADER.size : offset + length])
        offset += length + 3 & ~3


def request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A request as bytes."""
    return HEADER.pack(HEADER.size + len(body), kind, flags | _REQUEST, sequence, 0) + body


def error(message: Message) -> NetlinkError | None:
    """The error that ends a request, in an ``NLMSG_ERROR`` or ``NLMSG_DONE`` message; None for success."""
    body = message.body
    if len(body) < _ERRNO.size:
        return None
    (code,) = _ERRNO.unpack_from(body)
    return NetlinkError(-code, _words(message)) if code < 0 else None


def _words(message: Message) -> str:
    """What the kernel says of an error, behind the request that it repeats. Ref: netlink_ack."""
    at = _ERRNO.size
    if not message.flags & _ACK_TLVS:
        return ""
    if message.type == NLMSG_ERROR:
        if len(message.body) < at + HEADER.size:
            return ""
        (length, *_) = HEADER.unpack_from(message.body, at)
        at += HEADER.size if message.flags & _CAPPED else length + 3 & ~3
    return text(attributes(message.body, at).get(_WORDS, b""))
