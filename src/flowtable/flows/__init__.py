"""The flowtable: which flows are in it, how they got there, and how they leave it.

One module per thing an operator names: the entry and its two directions, the refusals of
``flow add``, the teardown and what it leaves in the connection, the flowtable, and all
flowtables of a box. How an entry forwards a packet is the datapath's, behind ``Datapath``.
"""
