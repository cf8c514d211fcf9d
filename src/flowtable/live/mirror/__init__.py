"""What a Linux host is, kept as a ``MirroredTopology``: one module for each kind of object.

A module reads the kernel's messages about its objects into records, and applies the difference
between two records of an object to the topology. So a notification changes what it is about and
nothing else, and a dump after notifications were lost changes only what is not as it was.
"""
