"""Why a flow entry ended."""

from __future__ import annotations

from flowtable.packet.reason import Reason


class Teardown(Reason):
    """A reason for which a flow entry is torn down."""

    IDLE = (
        "no packet for as long as the idle timeout",
        "the connection keeps what is left of its own timeout",
        "net/netfilter/nf_flow_table_core.c:nf_flow_offload_gc_step",
    )
    FIN = (
        "TCP FIN",
        "the closing packets take the classic path, where conntrack follows them",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_state_check",
    )
    RST = (
        "TCP RST",
        "the packet takes the classic path, where conntrack closes the connection",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_state_check",
    )
    REOPEN = (
        "TCP SYN after FIN or RST",
        "the packet takes the classic path, where conntrack starts the connection over",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_state_check",
    )
    ROUTE = (
        "route of the flow changed",
        "packets take the classic path, which finds the new route and may add the flow again",
        "net/netfilter/nf_flow_table_ip.c:nf_flow_dst_check",
    )
    DEVICE = (
        "device went down or away",
        "packets take the classic path",
        "net/netfilter/nf_flow_table_core.c:nf_flow_table_cleanup",
    )
    STATION = (
        "bridge that forgot at which port the station lives",
        "packets take the classic path, where the bridge learns of the station again",
        "net/bridge/br_fdb.c:fdb_delete",
    )
    MOVED = (
        "station that moved to a port that is not in the flowtable",
        "packets take the classic path",
        "net/bridge/br_fdb.c:br_fdb_update",
    )
    PATH = (
        "way through VLANs, bridges, sessions or tunnels that is no more",
        "packets take the classic path, where `flow add` says what the way lacks",
        "net/core/dev.c:dev_fill_forward_path",
    )
    CONNECTION = (
        "connection was deleted or timed out",
        "packets take the classic path, where they make a new connection",
        "net/netfilter/nf_flow_table_core.c:nf_flow_offload_gc_step",
    )
    REPLACED = (
        "a newer flow has the same key",
        "packets take the newer flow",
        "net/netfilter/nf_flow_table_core.c:flow_offload_add",
    )
    EVICTED = (
        "another flow needed its place, as it had been idle for longest",
        "packets take the classic path and may add the flow again",
        "kernel/bpf/bpf_lru_list.c:bpf_lru_pop_free",
    )
    DRIVER = (
        "driver of the hardware that went away",
        "packets take the classic path and may add the flow again, in software",
        "net/netfilter/nf_flow_table_offload.c:nf_flow_table_indr_cleanup",
    )
    IPSEC = (
        "IPsec that has to encrypt its packets from now on",
        "packets take the classic path, where IPsec sees them",
        "net/xfrm/xfrm_policy.c:xfrm_lookup_with_ifid",
    )
    RULES = (
        "rules that have changed and no longer offload it for certain",
        "packets take the classic path, where the rules decide",
        "net/netfilter/nft_flow_offload.c:nft_flow_offload_eval",
    )
    FLUSH = (
        "flowtable was flushed or deleted",
        "packets take the classic path",
        "net/netfilter/nf_flow_table_core.c:nf_flow_table_free",
    )
