"""The language in which a program and Linux talk: messages of attributes, and a socket for them.

What a message means is said by who uses it: the mirror of the host, connections, XDP. Only ``socket``
does I/O. Numbers are in the byte order of the host, addresses and ports in that of the network.

Ref: include/uapi/linux/netlink.h; Documentation/userspace-api/netlink/intro.rst.
"""
