"""PPPoE session headers with the PPP protocol field behind them (RFC 2516 section 4)."""

from __future__ import annotations

from typing import ClassVar, Final, Self

from flowtable.packet.malformed import Malformed
from flowtable.packet.view import View

HEADER: Final = 8
"""Bytes of a PPPoE header and a PPP protocol field."""
PPP_IPV4: Final = 0x0021
"""RFC 1332 section 2."""
PPP_IPV6: Final = 0x0057
"""RFC 5072 section 2."""


class Pppoe(View):
    """A PPPoE session header."""

    __slots__ = ()

    NAME: ClassVar[str] = "PPPoE session header"
    SIZE: ClassVar[int] = HEADER

    def check(self) -> Self:
        """See ``View.check``: version and type 1, code 0, a length that the buffer holds."""
        super().check()
        if self._u8(0) != 0x11:
            raise Malformed("PPPoE version or type is not 1", self.offset)
        if self._u8(1) != 0:
            raise Malformed(f"PPPoE code {self._u8(1)} in a session", self.offset + 1)
        if self.length < 2:
            raise Malformed(f"PPPoE length {self.length} leaves no PPP protocol", self.offset + 4)
        self._require(6 + self.length)
        return self

    @property
    def session(self) -> int:
        """Session id."""
        return self._u16(2)

    @property
    def length(self) -> int:
        """Bytes of payload, PPP protocol field included."""
        return self._u16(4)

    @property
    def protocol(self) -> int:
        """PPP protocol of the payload."""
        return self._u16(6)

    @property
    def payload_offset(self) -> int:
        """Where the PPP payload begins in the buffer."""
        return self.offset + HEADER

    @property
    def payload(self) -> bytes:
        """The PPP payload, padding cut off."""
        return self._bytes(HEADER, 6 + self.length)


def build(session: int, protocol: int, payload: bytes) -> bytes:
    """A PPPoE session header around ``payload``, the PPP protocol field included."""
    return b"".join(
        (
            b"\x11\x00",
            session.to_bytes(2, "big"),
            (len(payload) + 2).to_bytes(2, "big"),
            protocol.to_bytes(2, "big"),
            payload,
        )
    )
