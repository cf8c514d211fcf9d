"""The flowtable: which packets take the fast path, what `flow add` refuses, rules around it."""

from scenarios.topics.flow import around, packets, vectors

__all__ = ["around", "packets", "vectors"]
