"""Kernels whose own flowtable is known to be wrong, and how.

Live mode on a kernel without nf_flow_table, or on one whose flowtable is not used, is not concerned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flowtable.live.doctor.facts import Version

_FIRST: Final = Version(0, 0)


@dataclass(frozen=True, slots=True)
class KnownBug:
    """A bug of the kernel's flowtable.

    Attributes:
        since: the first version with it.
        before: the first version without it, None where none is known; stable kernels may have it
            repaired earlier.
        symptom: what users see.
        remedy: what to do.
        source: where it is told of.
    """

    since: Version
    before: Version | None
    symptom: str
    remedy: str
    source: str

    def concerns(self, kernel: Version) -> bool:
        """Whether a kernel has it, as far as its version tells."""
        return self.since <= kernel and (self.before is None or kernel < self.before)


KNOWN_BUGS: Final = (
    KnownBug(
        _FIRST,
        Version(5, 13),
        "flows through bridges, VLANs and PPPoE sessions are not accelerated: there is no path discovery",
        "list the routed devices, or use a newer kernel",
        "https://github.com/openwrt/openwrt/issues/9854",
    ),
    KnownBug(
        _FIRST,
        Version(5, 18),
        "native IPv6 packets are dropped once a cached route is invalid, as after a change of the prefix",
        "leave IPv6 out of the rules with `flow add`, or use a newer kernel",
        "https://github.com/openwrt/openwrt/pull/4849",
    ),
    KnownBug(
        _FIRST,
        Version(5, 19),
        "FIN and RST race with the teardown: connections stay ESTABLISHED for days, or close early; with"
        " hardware offload also crashes",
        "use a newer kernel",
        "https://github.com/openwrt/openwrt/issues/9440, 10572",
    ),
    KnownBug(
        _FIRST,
        Version(6, 4),
        "`conntrack -D` says busy of offloaded connections",
        "flush the flowtable first",
        "net/netfilter/nf_conntrack_netlink.c:ctnetlink_del_conntrack",
    ),
    KnownBug(
        _FIRST,
        Version(6, 16),
        "a device has to be there when the ruleset is loaded, and is no longer in the flowtable once it was"
        " made again (PPPoE redial, hot plug)",
        "add the device again when it appears",
        "https://github.com/openwrt/openwrt/issues/9854",
    ),
    KnownBug(
        Version(6, 14),
        Version(7, 1),
        "long connections get stuck after 300 s, 120 s or a day: timeouts of offloaded connections are"
        " extended wrongly",
        "look for a stable kernel with the repair of 2026",
        "https://github.com/openwrt/openwrt/pull/22970, 23611",
    ),
    KnownBug(
        Version(6, 19),
        Version(7, 1),
        "TCP with address translation breaks for firewalld's users; while a path is not found, the first"
        " packet of the fast path is dropped again and again; two VLAN tags leave swapped (6.19.0)",
        "use 6.18 or a newer kernel",
        "https://github.com/firewalld/firewalld/issues/1555",
    ),
    KnownBug(
        _FIRST,
        None,
        "a packet of an offloaded TCP connection that takes the classic path again may be found out of window"
        " and reset",
        "sysctl net.netfilter.nf_conntrack_tcp_be_liberal=1, or do not drop `ct state invalid` there",
        "https://github.com/openwrt/openwrt/pull/22970",
    ),
)


def known_bugs(kernel: Version) -> list[KnownBug]:
    """The bugs that a kernel's flowtable has, as far as its version tells."""
    return [bug for bug in KNOWN_BUGS if bug.concerns(kernel)]
