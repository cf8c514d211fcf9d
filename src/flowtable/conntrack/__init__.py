"""Connections: what belongs together, in which state it is, and how it is translated.

The conntrack station of the figure (priority -200 at prerouting and output), its confirm
station (last at input and postrouting) and the nat stations between them. Knows rules only
as callables and nothing of flowtables.
"""
