"""Deliberate small faults, each of which truth or the unit tests have to notice."""
