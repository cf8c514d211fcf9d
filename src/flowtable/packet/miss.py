"""Why a packet could not take the fast path."""

from __future__ import annotations

from flowtable.packet.reason import Reason


class Miss(Reason):
    """A reason for which the flowtable hook lets a packet go up the classic path.

    The hook decides before it changes a byte, so a missed packet is the packet that arrived.
    """

    # Dissection, in the order in which it decides.
    TRUNCATED = (
        "frame ends inside a header that the key needs",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_tuple_ip",
    )
    NOT_IP = (
        "neither IPv4 nor IPv6",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_inet.c:nf_flow_offload_inet_hook",
    )
    FAMILY = (
        "IP version that the flowtable's family does not cover",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_skb_encap_protocol",
    )
    ENCAPSULATION = (
        "more or other VLAN tags and PPPoE headers than the fast path reads",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_skb_encap_protocol",
    )
    FRAGMENT = (
        "fragment of an IP packet",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_tuple_ip",
    )
    IP_OPTIONS = (
        "IPv4 header with options",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:ip_has_options",
    )
    EXTENSION_HEADER = (
        "IPv6 extension header in front of the transport header",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_tuple_ipv6",
    )
    PROTOCOL = (
        "neither TCP, UDP nor GRE",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_tuple_ip",
    )
    TTL_EXPIRED = (
        "TTL or hop limit ends here",
        "classic path, unchanged, which answers with time exceeded; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_tuple_ip",
    )
    GRE_VERSION = (
        "GRE of another version than 0 (PPTP)",
        "classic path, unchanged; no flow is looked up",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_tuple_ip",
    )

    # Lookup.
    NO_ENTRY = (
        "no flow with this key",
        "classic path, unchanged; a flow add rule may install the flow",
        "net/netfilter/nf_flow_table_core.c:flow_offload_lookup",
    )
    TEARDOWN = (
        "flow is being torn down",
        "classic path, unchanged; the flow waits for garbage collection",
        "net/netfilter/nf_flow_table_core.c:flow_offload_lookup",
    )
    CONNECTION_GONE = (
        "connection of the flow was deleted",
        "classic path, unchanged; the next garbage collection removes the flow",
        "net/netfilter/nf_flow_table_core.c:flow_offload_lookup",
    )

    # Link layer of a flow behind a bridge, a tag or a session.
    STATION = (
        "frame for another station or from outside the session: bridged or ignored, not routed",
        "classic path, unchanged; the flow stays",
        "net/bridge/br_input.c:br_handle_frame_finish",
    )

    CONGESTION = (
        "congestion noted in the outer header of a tunnel, which the packet is to take over",
        "classic path, unchanged, which carries it over; the flow stays",
        "net/ipv4/ip_tunnel.c:ip_tunnel_rcv",
    )

    # Forwarding.
    TOO_BIG = (
        "larger than the MTU of the way out",
        "classic path, unchanged, which fragments it or answers; the flow stays",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_exceeds_mtu",
    )
    TCP_CLOSING = (
        "TCP FIN or RST",
        "classic path, unchanged, where connection tracking sees it; the flow is torn down",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_state_check",
    )
    TCP_REOPEN = (
        "TCP SYN on a flow that saw FIN or RST",
        "classic path, unchanged; the flow is torn down",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_state_check",
    )
    STALE_ROUTE = (
        "route of the flow is no longer valid",
        "classic path, unchanged; the flow is torn down and may be added again",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_dst_check",
    )
    NO_NEIGHBOUR = (
        "link-layer address of the next hop is not known",
        "classic path, unchanged, which resolves it; the flow stays",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_offload_ip_hook",
    )

    # In the kernel only.
    NO_DEVICE = (
        "device of the flow that takes no frames from XDP",
        "classic path, unchanged; the flow stays",
        "kernel/bpf/devmap.c:dev_hash_map_redirect",
    )
    NO_ROOM = (
        "no room in the buffer for the headers to leave with",
        "classic path, unchanged; the flow stays",
        "net/core/filter.c:bpf_xdp_adjust_head",
    )
