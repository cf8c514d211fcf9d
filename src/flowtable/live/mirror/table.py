"""What the kernel has of one kind of object, by key, and what follows when that changes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class Table(ABC, Generic[K, R]):
    """Records of objects; records are values, so that two can be compared.

    Attributes:
        records: by key, in the kernel's order.
    """

    def __init__(self) -> None:
        self.records: dict[K, R] = {}
        self._on: dict[int, dict[K, None]] = {}

    @abstractmethod
    def key(self, record: R) -> K:
        """What stays the same while an object changes."""

    @abstractmethod
    def devices(self, record: R) -> tuple[int, ...]:
        """Indexes of the devices that the object is on: it goes with them."""

    @abstractmethod
    def changed(self, old: R | None, new: R | None) -> None:
        """Bring the topology from the old record of an object to the new one; None: it is not there."""

    def put(self, record: R) -> None:
        """An object is there, as the record says."""
        key = self.key(record)
        old = self.records.get(key)
        if old == record:
            return
        if old is not None:
            self._forget(key, old)
        self.records[key] = record
        for index in self.devices(record):
            self._on.setdefault(index, {})[key] = None
        self.changed(old, record)

    def drop(self, key: K) -> None:
        """An object is not there, or no longer."""
        old = self.records.pop(key, None)
        if old is not None:
            self._forget(key, old)
            self.changed(old, None)

    def replace(self, records: Iterable[R]) -> None:
        """These are the objects that there are."""
        given = {self.key(record): record for record in records}
        for key in self.records.keys() - given.keys():
            self.drop(key)
        for record in given.values():
            self.put(record)

    def on(self, index: int) -> list[R]:
        """The objects on a device."""
        return [self.records[key] for key in self._on.get(index, ())]

    def arrive(self, index: int) -> None:
        """A device is there, which objects that were told of before are on."""
        for record in self.on(index):
            self.changed(None, record)

    def depart(self, index: int) -> None:
        """A device goes, and what is on it."""
        for record in self.on(index):
            self.drop(self.key(record))

    def _forget(self, key: K, record: R) -> None:
        for index in self.devices(record):
            keys = self._on[index]
            del keys[key]
            if not keys:
                del self._on[index]
