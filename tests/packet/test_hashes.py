"""Hashes and checksums that Linux computes beside the Internet checksum."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.sctp import crc32c as scapy_crc32c

from flowtable.packet.crc32c import crc32c
from flowtable.packet.jhash import jhash, jhash2


def test_the_check_value_of_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@given(st.binary(max_size=200))
def test_crc32c_is_that_of_scapy(data: bytes) -> None:
    assert crc32c(data).to_bytes(4, "little") == scapy_crc32c(data).to_bytes(4, "big")


@given(st.lists(st.integers(0, 0xFFFFFFFF), max_size=20), st.integers(0, 0xFFFFFFFF))
def test_bytes_and_words_hash_alike(words: list[int], seed: int) -> None:
    data = b"".join(word.to_bytes(4, "little") for word in words)
    assert jhash(data, seed) == jhash2(words, seed)
