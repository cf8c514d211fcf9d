"""Netfilter's flowtable as a Python product: a fast path through a router.

The packages are the stations of the flowtable figure and the objects an operator names;
``docs/architecture.md`` shows which is which. A layer imports only the layers below it:
packet, topology, ruleset, conntrack, flows, datapath, router and capture, cli.
"""
