"""Numbers of what lies in tables, and things with a number that several flows use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)


RESTING: Final = 64
"""So many numbers that were given back are not taken again yet: packets may be at what they stood for."""


class Numbers:
    """Numbers from 1, those given back longest ago first."""

    __slots__ = ("_next", "_spare")

    def __init__(self) -> None:
        self._next = 1
        self._spare: deque[int] = deque()

    def take(self) -> int:
        """A number that nobody has."""
        if len(self._spare) > RESTING:
            return self._spare.popleft()
        self._next += 1
        return self._next - 1

    def give(self, number: int) -> None:
        """A number is not needed any more."""
        self._spare.append(number)


class Shared(Generic[K]):
    """Numbers by what they stand for, for as long as something uses them."""

    __slots__ = ("_add", "_known", "_numbers", "_remove", "_users")

    def __init__(self, add: Callable[[K, int], None], remove: Callable[[K], None] | None = None) -> None:
        """Begin without any.

        Args:
            add: called with a new one and its number.
            remove: called with one that nobody uses any more.
        """
        self._add = add
        self._remove = remove
        self._numbers = Numbers()
        self._known: dict[K, int] = {}
        self._users: dict[int, tuple[K, int]] = {}

    def take(self, key: K) -> int:
        """The number of one, made if it is new; ``give`` it back once."""
        number = self._known.get(key)
        users = 0
        if number is None:
            number = self._numbers.take()
            try:
                self._add(key, number)
            except BaseException:
                self._numbers.give(number)
                raise
            self._known[key] = number
        else:
            _, users = self._users[number]
        self._users[number] = key, users + 1
        return number

    def give(self, number: int) -> None:
        """One user less."""
        key, users = self._users.pop(number)
        if users > 1:
            self._users[number] = key, users - 1
            return
        del self._known[key]
        if self._remove is not None:
            self._remove(key)
        self._numbers.give(number)
