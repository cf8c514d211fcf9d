"""What conntrack takes from the sysctls, in the units it works with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowtable.clock import SECOND

if TYPE_CHECKING:
    from flowtable.topology.sysctl import Sysctls


@dataclass(slots=True, frozen=True)
class Settings:
    """Timeouts in nanoseconds, and switches.

    Attributes:
        tcp: timeout of each ``TcpState``.
        tcp_max_retrans: timeout while segments are repeated, or the window is closed.
        tcp_unacknowledged: timeout while data is not acknowledged.
        udp: timeout before the first answer, and in the first two seconds.
        udp_stream: timeout after that.
        icmp: timeout of ICMP queries.
        icmpv6: timeout of ICMPv6 queries.
        gre: timeout before the first answer.
        gre_stream: timeout after that.
        sctp: timeout of each ``SctpState``.
        generic: timeout of every other protocol.
        retransmissions: how many repeated segments until ``tcp_max_retrans`` applies.
        loose: pick up TCP connections whose beginning was not seen.
        liberal: accept TCP segments outside of the window.
        ignore_invalid_rst: accept TCP resets outside of the window.
        checksum: check transport checksums at prerouting.
        accounting: count packets and bytes of new connections.
        limit: how many connections there may be, 0 for any number.

    Ref: Documentation/networking/nf_conntrack-sysctl.rst.
    """

    tcp: tuple[int, ...]
    tcp_max_retrans: int
    tcp_unacknowledged: int
    udp: int
    udp_stream: int
    icmp: int
    icmpv6: int
    gre: int
    gre_stream: int
    sctp: tuple[int, ...]
    generic: int
    retransmissions: int
    loose: bool
    liberal: bool
    ignore_invalid_rst: bool
    checksum: bool
    accounting: bool
    limit: int

    def with_timeouts(self, seconds: tuple[int, ...]) -> Settings:
        """The same with the timeouts of a ``ct timeout`` object.

        Args:
            seconds: of each state in the kernel's order: two for UDP, eleven for TCP.

        Ref: include/uapi/linux/netfilter/nfnetlink_cttimeout.h.
        """
        limits = tuple(second * SECOND for second in seconds)
        if len(limits) == 2:
            return replace(self, udp=limits[0], udp_stream=limits[1])
        *states, retransmitted, unacknowledged = limits
        return replace(
            self,
            tcp=(states[0], *states),
            tcp_max_retrans=retransmitted,
            tcp_unacknowledged=unacknowledged,
        )

    @classmethod
    def of(cls, sysctls: Sysctls) -> Settings:
        """The settings that the sysctls say."""
        syn_sent = sysctls.nf_conntrack_tcp_timeout_syn_sent
        tcp = (
            syn_sent,
            syn_sent,
            sysctls.nf_conntrack_tcp_timeout_syn_recv,
            sysctls.nf_conntrack_tcp_timeout_established,
            sysctls.nf_conntrack_tcp_timeout_fin_wait,
            sysctls.nf_conntrack_tcp_timeout_close_wait,
            sysctls.nf_conntrack_tcp_timeout_last_ack,
            sysctls.nf_conntrack_tcp_timeout_time_wait,
            sysctls.nf_conntrack_tcp_timeout_close,
            # No sysctl names it: it keeps the default of SYN_SENT.
            120,
        )
        sctp = (
            # An association is in no state only before its first packet.
            sysctls.nf_conntrack_sctp_timeout_closed,
            sysctls.nf_conntrack_sctp_timeout_closed,
            sysctls.nf_conntrack_sctp_timeout_cookie_wait,
            sysctls.nf_conntrack_sctp_timeout_cookie_echoed,
            sysctls.nf_conntrack_sctp_timeout_established,
            sysctls.nf_conntrack_sctp_timeout_shutdown_sent,
            sysctls.nf_conntrack_sctp_timeout_shutdown_recd,
            sysctls.nf_conntrack_sctp_timeout_shutdown_ack_sent,
            sysctls.nf_conntrack_sctp_timeout_heartbeat_sent,
        )
        return cls(
            tcp=tuple(seconds * SECOND for seconds in tcp),
            tcp_max_retrans=sysctls.nf_conntrack_tcp_timeout_max_retrans * SECOND,
            tcp_unacknowledged=sysctls.nf_conntrack_tcp_timeout_unacknowledged * SECOND,
            udp=sysctls.nf_conntrack_udp_timeout * SECOND,
            udp_stream=sysctls.nf_conntrack_udp_timeout_stream * SECOND,
            icmp=sysctls.nf_conntrack_icmp_timeout * SECOND,
            icmpv6=sysctls.nf_conntrack_icmpv6_timeout * SECOND,
            gre=sysctls.nf_conntrack_gre_timeout * SECOND,
            gre_stream=sysctls.nf_conntrack_gre_timeout_stream * SECOND,
            sctp=tuple(seconds * SECOND for seconds in sctp),
            generic=sysctls.nf_conntrack_generic_timeout * SECOND,
            retransmissions=sysctls.nf_conntrack_tcp_max_retrans,
            loose=bool(sysctls.nf_conntrack_tcp_loose),
            liberal=bool(sysctls.nf_conntrack_tcp_be_liberal),
            ignore_invalid_rst=bool(sysctls.nf_conntrack_tcp_ignore_invalid_rst),
            checksum=bool(sysctls.nf_conntrack_checksum),
            accounting=bool(sysctls.nf_conntrack_acct),
            limit=sysctls.nf_conntrack_max,
        )
