"""Numbers where Linux draws random ones: the same seed gives the same numbers, everywhere."""

from __future__ import annotations

from typing import Final

_MASK64: Final = (1 << 64) - 1


class Generator:
    """SplitMix64, as in Steele, Lea and Flood, "Fast splittable pseudorandom number generators"."""

    __slots__ = ("_state",)

    def __init__(self, seed: int = 0) -> None:
        self._state = seed & _MASK64

    def u64(self) -> int:
        """The next number of 64 bits."""
        self._state = z = (self._state + 0x9E3779B97F4A7C15) & _MASK64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK64
        z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK64
        return z ^ z >> 31

    def u32(self) -> int:
        """The next number of 32 bits."""
        return self.u64() >> 32

    def u16(self) -> int:
        """The next number of 16 bits."""
        return self.u64() >> 48
