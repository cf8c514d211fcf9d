/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What changes in a packet on the fast path: addresses, ports, TTL, checksums, link-layer header.
 *
 * The key of a flow fixes what its packets carry, so what they carry when they leave is constant,
 * and so is what that does to the checksums: one's complement differences add up (RFC 1624).
 */
#ifndef FT_REWRITE_H
#define FT_REWRITE_H

#include "bytes.h"
#include "key.h"
#include "layout.h"

/* What a TTL that is one less does to the checksum of its header. */
#define FT_TTL_DELTA 0xfeff

/* A checksum after a change; `delta` is 0..0xffff. Of both zeros the result is 0. */
static FT_INLINE ft_u16 ft_checksum(ft_u16 check, ft_u16 delta)
{
	ft_u32 sum = (ft_u32)check + 0xffff - delta;

	if (sum >= 0xffff)
		sum -= 0xffff;
	if (sum >= 0xffff)
		sum -= 0xffff;
	return (ft_u16)sum;
}

/* Fill in what in a link-layer header depends on the packet: the length in a PPPoE header, and the
 * priority of tags, each that of the tag which arrived in its place. -1 if the frame ends before.
 * Ref: nf_flow_pppoe_push, nf_flow_encap_push. */
static FT_INLINE int ft_finish_head(ft_u8 *head, const ft_u8 *end, const struct ft_next_hop *hop,
				    const struct ft_parsed *parsed, ft_u32 size)
{
	ft_u8 *at;

	FT_UNROLL
	for (int i = 0; i < FT_ENCAP_MAX; i++) {
		at = head + 12 + 2 + 4 * i;
		if (i >= hop->tags)
			break;
		if (at + 1 > end)
			return -1;
		*at |= parsed->priorities[i];
	}
	if (!hop->pppoe)
		return 0;
	/* Last come the length of the session's payload and the PPP protocol. */
	at = head + ((hop->length - 4) & 63);
	if (at + 2 > end)
		return -1;
	ft_store16(at, (ft_u16)(size + 2));
	return 0;
}

/* Ref: net/netfilter/nf_flow_table_ip.c:nf_flow_nat_ip_l4proto, nf_flow_nat_ipv6_l4proto. */
static FT_INLINE void ft_rewrite_transport(ft_u8 *transport, const struct ft_flow *flow, ft_u8 protocol)
{
	ft_u8 *at = transport + (protocol == FT_TCP ? 16 : 6);
	ft_u16 check;

	if (protocol == FT_GRE)
		return;
	ft_copy_out(transport, &flow->sport, 4);
	if (!flow->l4_delta)
		return;
	check = ft_load16(at);
	if (protocol == FT_TCP) {
		ft_store16(at, ft_checksum(check, flow->l4_delta));
	} else if (check) {
		check = ft_checksum(check, flow->l4_delta);
		/* A UDP checksum of 0 would say that there is none (RFC 768). */
		ft_store16(at, check ? check : 0xffff);
	}
}

static FT_INLINE void ft_rewrite_ipv4(ft_u8 *ip, const struct ft_flow *flow)
{
	ip[8]--;
	ft_store16(ip + 10, ft_checksum(ft_load16(ip + 10), flow->ip_delta));
	ft_copy_out(ip + 12, flow->addresses, 8);
}

static FT_INLINE void ft_rewrite_ipv6(ft_u8 *ip, const struct ft_flow *flow)
{
	ip[7]--;
	ft_copy_out(ip + 8, flow->addresses, 32);
}

#endif
