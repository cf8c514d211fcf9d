"""Bytes on the wire: views, builders, checksums, dissection into a flow key.

Two ways to read a packet live here.

*Per packet* (``flowkey``, ``parse``, ``checksum``): plain functions over ``bytes`` and
``bytearray`` that return ints, slices and tuples. A packet that cannot be read is a result
(``Miss``, ``Drop``, ``False``), never an exception.

*Per header* (``ethernet``, ``vlan``, ``pppoe``, ``arp``, ``ipv4``, ``ipv6``, ``tcp``, ``udp``,
``icmp``, ``icmpv6``, ``gre``): for the box's own stack, listings and tests. ``View(buffer,
offset)`` costs nothing and checks nothing. ``check()`` raises ``Malformed`` where a length or
version field is wrong, and returns the view otherwise; after it, no accessor fails. ``end``
bounds a view inside a longer buffer. The ``build`` functions of the same modules return
whole headers with lengths and checksums filled in:

    >>> from flowtable.packet import ipv4, udp
    >>> source, destination = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    >>> datagram = udp.build(5353, 53, b"hello", addresses=source + destination)
    >>> packet = ipv4.build(source, destination, 17, datagram, ttl=64)
    >>> header = ipv4.Ipv4(packet).check()
    >>> header.ttl, udp.Udp(packet, header.payload_offset).check().payload
    (64, b'hello')

Numbers are host-order ints, addresses network-order ``bytes``.
"""
