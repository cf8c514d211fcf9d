/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path: what becomes of a packet whose flow was found.
 *
 * The order is the kernel's: length against the MTU, TCP flags, route, neighbour, rewrite; no byte
 * has changed when a packet is refused. Ref: net/netfilter/nf_flow_table_ip.c:
 * nf_flow_offload_forward, nf_flow_offload_ipv6_forward.
 */
#ifndef FT_FASTPATH_H
#define FT_FASTPATH_H

#include "bytes.h"
#include "key.h"
#include "layout.h"
#include "rewrite.h"

#define FT_FIN 0x01
#define FT_SYN 0x02
#define FT_RST 0x04

/* What a decision says besides its `ft_miss`. */
struct ft_decision {
	ft_u32 size;        /* of the packet, from its network header on */
	enum ft_end end;    /* why the flow ends with this packet, FT_END_NONE if it does not */
};

/* Whether a frame is addressed as those of its link are. */
static FT_INLINE int ft_addressed(const ft_u8 *frame, const struct ft_link *link)
{
	if (!ft_same_mac(frame, link->own) && !ft_same_mac(frame, link->other))
		return 0;
	return !link->session || ft_same_mac(frame + 6, link->peer);
}

/* The length of the packet by its IP header, 0 where that is not so: it has to hold the transport
 * header, and to end with the frame and its PPPoE payload at the latest. */
static FT_INLINE ft_u32 ft_stated_size(const struct ft_parsed *parsed, const ft_u8 *ip, ft_u32 there)
{
	ft_u32 least = parsed->key.protocol == FT_TCP ? 20 : parsed->key.protocol == FT_UDP ? 8 : 4;
	ft_u32 stated;

	if (parsed->session) {
		/* The PPP protocol is part of the payload. */
		if (parsed->payload < 2 || (ft_u32)parsed->payload - 2 > there)
			return 0;
		there = (ft_u32)parsed->payload - 2;
	}
	if (parsed->family == FT_IPV4)
		stated = ft_load16(ip + 2);
	else
		stated = (ft_u32)ft_load16(ip + 4) + FT_IPV6_HEADER;
	least += parsed->family == FT_IPV4 ? FT_IPV4_HEADER : FT_IPV6_HEADER;
	return stated > there || stated < least ? 0 : stated;
}

/* Ref: nf_flow_state_check. */
static FT_INLINE enum ft_miss ft_tcp_state(ft_u8 flags, const struct ft_config *config, struct ft_entry *entry,
					   struct ft_decision *decision)
{
	if ((flags & FT_SYN) && (entry->closing)) {
		decision->end = FT_END_REOPEN;
		return FT_MISS_TCP_REOPEN;
	}
	if (flags & (FT_FIN | FT_RST)) {
		if (!config->bypass_closing) {
			decision->end = flags & FT_RST ? FT_END_RST : FT_END_FIN;
			return FT_MISS_TCP_CLOSING;
		}
		entry->closing = 1;
	}
	return FT_MISS_NONE;
}

/* Whether a packet of a flow goes through. Its IP header is at `ip` in `frame`, `there` bytes of it
 * arrived, and `tcp_flags` are those of TCP. `link` is that of the flow, where it has FT_FLOW_STATION. */
static FT_INLINE enum ft_miss ft_decide(const struct ft_parsed *parsed, const ft_u8 *frame, const ft_u8 *ip,
					ft_u8 tcp_flags, ft_u32 there, const struct ft_config *config,
					const struct ft_link *link, const struct ft_flow *flow,
					const struct ft_next_hop *hop, struct ft_entry *entry,
					struct ft_decision *decision)
{
	decision->end = FT_END_NONE;
	decision->size = there;
	if ((flow->flags & FT_FLOW_STATION) && !(link && ft_addressed(frame, link)))
		return FT_MISS_STATION;
	if (!config->whole_frames) {
		decision->size = ft_stated_size(parsed, ip, there);
		if (!decision->size)
			return FT_MISS_TRUNCATED;
	}
	if (entry->ended)
		return entry->ended == FT_ENDED_TEARDOWN ? FT_MISS_TEARDOWN : FT_MISS_CONNECTION_GONE;
	if ((parsed->largest ? parsed->largest : decision->size) > flow->mtu)
		return FT_MISS_TOO_BIG;
	if (parsed->key.protocol == FT_TCP) {
		enum ft_miss miss = ft_tcp_state(tcp_flags, config, entry, decision);

		if (miss != FT_MISS_NONE)
			return miss;
	}
	if (flow->flags & FT_FLOW_STALE) {
		decision->end = FT_END_ROUTE;
		return FT_MISS_STALE_ROUTE;
	}
	if (!hop->length || (flow->flags & FT_FLOW_HANDED_OVER))
		return FT_MISS_NO_NEIGHBOUR;
	return FT_MISS_NONE;
}

#ifdef __bpf__
/* Packets of a direction may be on several processors at once. */
#define FT_ADD(counter, amount) __sync_fetch_and_add(&(counter), amount)
#else
#define FT_ADD(counter, amount) ((counter) += (amount))
#endif

/* Account a packet that goes through, and keep its flow alive.
 * Ref: net/netfilter/nf_flow_table_core.c:flow_offload_refresh. */
static FT_INLINE void ft_count(const struct ft_flow *flow, struct ft_entry *entry, ft_u32 size, ft_u64 now,
			       const struct ft_config *config)
{
	struct ft_counter *counter = &entry->counters[flow->flags & FT_FLOW_REPLY ? 1 : 0];

	FT_ADD(counter->packets, 1);
	FT_ADD(counter->bytes, size);
	counter->used = now;
	if (now - entry->refreshed > config->granularity)
		entry->refreshed = now;
}

#endif
