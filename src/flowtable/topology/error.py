"""What is wrong with a change to the topology."""

from __future__ import annotations


class TopologyError(ValueError):
    """A device, address, route or neighbour that Linux would refuse; the text says why.

    Attributes:
        about: the part that is wrong, by its key in a box file; empty for all of it.
    """

    def __init__(self, message: str, about: str = "") -> None:
        super().__init__(message)
        self.about = about
