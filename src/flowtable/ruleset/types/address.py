"""Addresses."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.types.base import DataType, Value, as_number

if TYPE_CHECKING:
    from flowtable.ruleset.syntax import Word

_NO_SUCH_HOST: Final = "Could not resolve hostname: Name or service not known"
_OTHER_FAMILY: Final = "Could not resolve hostname: Address family for hostname not supported"


class Ipv4Address(DataType):
    """An IPv4 address. Host names are not resolved: what a rule means must not depend on DNS."""

    per_line = 2
    prefixes = True

    def parse(self, word: Word) -> Value:
        """A dotted quad, or a number as inet_aton takes it."""
        number = as_number(word)
        if number is not None and number <= self.maximum:
            return number
        try:
            return int(ipaddress.IPv4Address(word.text))
        except ValueError:
            raise ValueError(_OTHER_FAMILY if ":" in word.text else _NO_SUCH_HOST) from None

    def format(self, value: Value) -> str:
        """A dotted quad."""
        return str(ipaddress.IPv4Address(value))


class Ipv6Address(DataType):
    """An IPv6 address."""

    prefixes = True

    def parse(self, word: Word) -> Value:
        """Any form of RFC 4291."""
        try:
            if "%" not in word.text:
                return int(ipaddress.IPv6Address(word.text))
        except ValueError:
            pass
        other = as_number(word) is not None or re.fullmatch(r"[0-9]+(\.[0-9]+){3}", word.text)
        raise ValueError(_OTHER_FAMILY if other else _NO_SUCH_HOST)

    def format(self, value: Value) -> str:
        """As inet_ntop writes it: RFC 5952, and IPv4-mapped addresses with their dotted quad."""
        assert isinstance(value, int)
        if value >> 32 == 0xFFFF or (value >> 32 == 0 and value >> 16):
            head = "::ffff:" if value >> 32 else "::"
            return head + str(ipaddress.IPv4Address(value & 0xFFFFFFFF))
        return str(ipaddress.IPv6Address(value))


class EtherAddress(DataType):
    """A MAC address."""

    def parse(self, word: Word) -> Value:
        """Six hexadecimal numbers with colons, or one number."""
        number = as_number(word)
        if number is not None:
            return number
        parts = word.text.split(":")
        if len(parts) != 6 or not all(re.fullmatch("[0-9A-Fa-f]{1,2}", part) for part in parts):
            raise ValueError("Invalid LL address")
        return int.from_bytes(bytes(int(part, 16) for part in parts), "big")

    def format(self, value: Value) -> str:
        """Lower case."""
        assert isinstance(value, int)
        return value.to_bytes(6, "big").hex(":")


IPV4_ADDR: Final = Ipv4Address("ipv4_addr", "IPv4 address", 32)
IPV6_ADDR: Final = Ipv6Address("ipv6_addr", "IPv6 address", 128)
ETHER_ADDR: Final = EtherAddress("ether_addr", "Ethernet address", 48)
