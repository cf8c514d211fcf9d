"""Why ``flow add`` did not add a flow."""

from __future__ import annotations

from flowtable.packet.reason import Reason
from flowtable.topology.forward_path import PathFailure


class Refusal(Reason):
    """A reason for which ``flow add`` ends its rule (BREAK) and adds nothing.

    In the order in which they are looked at. The packet goes on with the next rule.
    """

    IP_OPTIONS = (
        "IPv4 header with options",
        "a packet without options may add the flow",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_skip",
    )
    NO_CONNECTION = (
        "packet without a connection (notrack or invalid)",
        "a tracked packet may add the flow",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    RELATED = (
        "ICMP error about the connection, not a packet of it",
        "a packet of the connection may add the flow",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    TCP_HEADER = (
        "TCP header cut short",
        "a whole packet may add the flow",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    TCP_CLOSING = (
        "TCP FIN or RST",
        "the connection is about to end",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    NOT_ESTABLISHED = (
        "TCP connection not in state ESTABLISHED",
        "the flow may be added once the handshake is complete",
        "include/net/netfilter/nf_conntrack_l4proto.h:nf_conntrack_tcp_established",
    )
    NOT_ASSURED = (
        "TCP connection not assured: traffic in one direction only",
        "the flow may be added once both directions were seen",
        "include/net/netfilter/nf_conntrack_l4proto.h:nf_conntrack_tcp_established",
    )
    GRE_NAT = (
        "GRE with address translation",
        "never offloaded",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    GRE_KEY = (
        "GRE with a key (PPTP)",
        "never offloaded",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    PROTOCOL = (
        "neither TCP, UDP nor GRE",
        "never offloaded",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    HELPER = (
        "connection with a helper, which has to read every packet",
        "never offloaded",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    SEQ_ADJUST = (
        "connection whose sequence numbers are adjusted",
        "never offloaded",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    NAT_CLASH = (
        "connection that clashed with another when it was confirmed",
        "never offloaded",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    UNCONFIRMED = (
        "first packet of the connection",
        "the next packet may add the flow",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    OFFLOADED = (
        "already offloaded",
        "if packets keep coming here, the device they arrive on is not in the flowtable, or each is a miss",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    NO_ROUTE = (
        "no route back to the sender",
        "a packet may add the flow once there is a route",
        "net/netfilter/nft_flow_offload.c:nft_flow_route",
    )
    NO_NEIGHBOUR = PathFailure.NO_NEIGHBOUR.value
    PATH_DEPTH = PathFailure.PATH_DEPTH.value
    PATH_VLANS = PathFailure.PATH_VLANS.value
    BRIDGE_PORT = PathFailure.BRIDGE_PORT.value
    NO_FDB_ENTRY = PathFailure.NO_FDB_ENTRY.value
    FDB_LOCAL = PathFailure.FDB_LOCAL.value
    VLAN_NOT_ON_PORT = PathFailure.VLAN_NOT_ON_PORT.value
    VLAN_NOT_ON_BRIDGE = PathFailure.VLAN_NOT_ON_BRIDGE.value
    VLAN_ONE_WAY = PathFailure.VLAN_ONE_WAY.value
    PORT_BLOCKED = PathFailure.PORT_BLOCKED.value
    UNKNOWN_DEVICE = PathFailure.UNKNOWN_DEVICE.value
    NO_SESSION = PathFailure.NO_SESSION.value
    TUNNEL_ROUTE = PathFailure.TUNNEL_ROUTE.value
    TUNNEL_LIMIT = PathFailure.TUNNEL_LIMIT.value
    TUNNEL_IN_TUNNEL = PathFailure.TUNNEL_IN_TUNNEL.value
    ENCAPSULATION = (
        "more VLAN tags and PPPoE headers on the way than the fast path reads",
        "never offloaded on these devices",
        "net/netfilter/nft_flow_offload.c:nft_dev_path_info",
    )
    INPUT_DEVICE = (
        "arrival on a device that is not in the flowtable",
        "never offloaded by the default profile; the kernel adds it on devices that it guesses",
        "net/netfilter/nft_flow_offload.c:nft_dev_forward_path",
    )
    OUTPUT_DEVICE = (
        "departure through a device that is not in the flowtable",
        "never offloaded by the default profile; the kernel adds it on devices that it guesses",
        "net/netfilter/nft_flow_offload.c:nft_dev_forward_path",
    )
    CAPACITY = (
        "no room for another flow in the tables of the fast path",
        "the flow may be added once others have ended",
        "kernel/bpf/hashtab.c:alloc_htab_elem",
    )
    TUNNEL_HEADER = (
        "tunnel header, which the fast path in the kernel does not take off or put on",
        "never offloaded by the fast path in the kernel",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_ip4_tunnel_proto",
    )
    EXIT_DEVICE = (
        "departure through a device that does not send frames of others",
        "of a veth pair the other end needs GRO (`ethtool -K DEV gro on`); generic XDP needs nothing",
        "drivers/net/veth.c:veth_xdp_xmit",
    )
    CHECKSUM_OFFLOAD = (
        "arrival of packets whose checksums nobody has worked out yet, as a veth pair passes them on",
        "the flow may be added once the sender works them out: `ethtool -K DEV tx off` on its side",
        "include/linux/skbuff.h:CHECKSUM_PARTIAL",
    )
    HIDDEN_TAG = (
        "arrival of frames whose VLAN tag the device takes off before XDP sees them",
        "the flow may be added once it leaves them there: `ethtool -K DEV rxvlan off`",
        "include/linux/if_vlan.h:skb_vlan_tag_present",
    )
    IPSEC = (
        "departure for IPsec, which has to encrypt every packet",
        "never offloaded while there is a policy for such packets",
        "net/xfrm/xfrm_policy.c:xfrm_lookup_with_ifid",
    )
    INGRESS_CHAIN = (
        "arrival on a device whose ingress chain has to see every packet",
        "never offloaded while rules are attached there",
        "net/core/dev.c:nf_ingress",
    )
    EGRESS_CHAIN = (
        "departure through a device whose egress chain has to see every packet",
        "never offloaded while rules are attached there",
        "net/core/dev.c:nf_hook_egress",
    )
    DYING = (
        "connection is being deleted",
        "a new connection may add the flow",
        "net/netfilter/nf_flow_table_core.c:flow_offload_alloc",
    )
