"""What the kernel says of a request that it refuses."""

from __future__ import annotations

from errno import EINVAL
from struct import pack

import pytest

from flowtable.netlink.attribute import attribute
from flowtable.netlink.message import NLMSG_DONE, NLMSG_ERROR, Flag, Message, error, messages, request

REQUEST = request(19, Flag.ACK, 7, b"a body")
"""Its length is no multiple of four."""
PADDED = REQUEST + bytes(-len(REQUEST) % 4)
NUMBER = pack("=i", -EINVAL)
WORDS = attribute(1, b"No such thing\0")


@pytest.mark.parametrize(
    ("kind", "flags", "body", "words"),
    [
        (NLMSG_ERROR, Flag.ACK_TLVS, NUMBER + PADDED + WORDS, "No such thing"),
        (NLMSG_ERROR, Flag.ACK_TLVS | Flag.CAPPED, NUMBER + REQUEST[:16] + WORDS, "No such thing"),
        (NLMSG_DONE, Flag.ACK_TLVS, NUMBER + WORDS, "No such thing"),
        (NLMSG_ERROR, 0, NUMBER + PADDED, ""),
        (NLMSG_ERROR, Flag.ACK_TLVS, NUMBER + PADDED, ""),
        (NLMSG_ERROR, Flag.ACK_TLVS, NUMBER, ""),
    ],
    ids=["behind the request", "capped", "end of a dump", "flag unset", "no attribute", "cut short"],
)
def test_a_refusal_has_its_number_and_the_kernels_words(kind, flags, body, words):
    refused = error(Message(kind, int(flags), 7, body))
    assert refused is not None
    assert (refused.errno, refused.strerror, refused.words) == (EINVAL, "Invalid argument", words)


def test_an_acknowledgement_is_no_refusal():
    assert error(Message(NLMSG_ERROR, 0, 7, bytes(4) + REQUEST)) is None


def test_a_request_is_read_back():
    assert list(messages(REQUEST)) == [Message(19, Flag.ACK | Flag.REQUEST, 7, b"a body")]
