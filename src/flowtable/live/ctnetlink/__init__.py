"""The language in which Linux tells of its connections and takes orders about them.

Bytes in, ``Report`` objects out; requests as bytes. Only ``socket`` does I/O.

Ref: net/netfilter/nf_conntrack_netlink.c; include/uapi/linux/netfilter/nfnetlink_conntrack.h.
"""
