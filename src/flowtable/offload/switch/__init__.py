"""A model of a chip that forwards: a switch, a router's packet engine, a network card.

It executes the rules it is given, match keys and actions and nothing else, within the limits of its
data sheet (``topology.hardware``). Frames that it forwards never reach the box.
"""
