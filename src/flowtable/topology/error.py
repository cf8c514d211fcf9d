"""What is wrong with a change to the topology."""

from __future__ import annotations


class TopologyError(ValueError):
    """A device, address, route or neighbour that Linux would refuse; the text says why."""
