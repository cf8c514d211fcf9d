/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path at the earliest place: XDP. */
#ifndef FT_XDP_H
#define FT_XDP_H

#include "kernel.h"
#include "rewrite.h"

static FT_INLINE int ft_xdp_up(struct ft_cpu *cpu, enum ft_miss miss)
{
	cpu->counts[miss]++;
	return XDP_PASS;
}

/* Give the frame the length that it leaves with, link-layer header and all; its bytes stay. */
static FT_INLINE int ft_xdp_resize(struct xdp_md *ctx, ft_u32 network, ft_u32 head, ft_u32 there, ft_u32 size)
{
	if (there != size && bpf_xdp_adjust_tail(ctx, (int)size - (int)there))
		return -1;
	return network != head && bpf_xdp_adjust_head(ctx, (int)network - (int)head) ? -1 : 0;
}

/* Change a packet that goes through, whose frame has its new length already. */
static FT_INLINE int ft_xdp_rewrite(struct xdp_md *ctx, const struct ft_parsed *parsed,
				    const struct ft_transit *transit, ft_u32 header)
{
	const struct ft_next_hop *hop = transit->hop;
	const struct ft_flow *flow = transit->flow;
	ft_u8 *data = (ft_u8 *)(long)ctx->data;
	const ft_u8 *end = (const ft_u8 *)(long)ctx->data_end;
	ft_u8 *ip = data + (hop->length & 63);
	ft_u8 *transport = ip + header;
	ft_u8 protocol = parsed->key.protocol;

	if (ft_push(data, end, hop) || ft_finish_head(data, end, hop, parsed, transit->decision.size) ||
	    transport + 4 > end)
		return -1;
	if (header == FT_IPV4_HEADER)
		ft_rewrite_ipv4(ip, flow);
	else
		ft_rewrite_ipv6(ip, flow);
	if (protocol == FT_TCP) {
		if (transport + 20 > end)
			return -1;
		ft_rewrite_transport(transport, flow, FT_TCP);
	} else if (protocol == FT_UDP) {
		if (transport + 8 > end)
			return -1;
		ft_rewrite_transport(transport, flow, FT_UDP);
	}
	return 0;
}

static FT_INLINE int ft_xdp_forward(struct xdp_md *ctx, struct ft_cpu *cpu, const struct ft_parsed *parsed,
				    struct ft_transit *transit, ft_u32 header)
{
	const ft_u8 *data = (const ft_u8 *)(long)ctx->data;
	const ft_u8 *end = (const ft_u8 *)(long)ctx->data_end;
	ft_u32 network = parsed->network & 63;
	ft_u32 there = (ft_u32)(end - (data + network));
	enum ft_miss miss = ft_judge(parsed, transit, data, end, there, header);
	ft_u32 size = transit->decision.size;
	struct ft_sample *sample;
	ft_u32 length;
	ft_u64 now;
	int action;

	if (miss != FT_MISS_NONE)
		return ft_xdp_up(cpu, miss);
	/* Asked before a byte changes: what cannot leave goes up the classic path as it came. */
	action = (int)bpf_redirect_map(&devices, transit->hop->device, XDP_PASS);
	if (action != XDP_REDIRECT)
		return ft_xdp_up(cpu, FT_MISS_NO_DEVICE);
	if (ft_xdp_resize(ctx, network, transit->hop->length, there, size))
		return ft_xdp_up(cpu, FT_MISS_NO_ROOM);
	if (ft_xdp_rewrite(ctx, parsed, transit, header))
		return XDP_DROP;
	now = ft_now(cpu);
	ft_count(transit->flow, transit->entry, size, now, ft_settings());
	cpu->counts[FT_MISS_NONE]++;
	length = transit->hop->length + size;
	sample = ft_sample(parsed->link.iif, transit->hop->device, length, now);
	if (sample)
		ft_sampled(sample, bpf_xdp_load_bytes(ctx, 0, sample->frame, ft_kept(length)));
	return action;
}

SEC("xdp")
int ft_xdp(struct xdp_md *ctx)
{
	const ft_u8 *data = (const ft_u8 *)(long)ctx->data;
	const ft_u8 *end = (const ft_u8 *)(long)ctx->data_end;
	struct ft_cpu *cpu = ft_this_cpu();
	struct ft_transit transit;
	struct ft_parsed parsed __attribute__((aligned(8)));
	enum ft_miss miss;

	if (!cpu)
		return XDP_PASS;
	ft_begin(ctx->ingress_ifindex, &parsed);
	miss = ft_parse(data, end, 0, ft_settings(), &parsed);
	if (miss != FT_MISS_NONE)
		return ft_xdp_up(cpu, miss);
	if (ft_find_link(&parsed, &transit))
		return ft_xdp_up(cpu, FT_MISS_NO_ENTRY);
	/* Flows of the two families differ in size, which the verifier holds apart only like this. */
	if (parsed.family == FT_IPV4) {
		transit.flow = bpf_map_lookup_elem(&flows4, &parsed.key);
		return transit.flow ? ft_xdp_forward(ctx, cpu, &parsed, &transit, FT_IPV4_HEADER) :
				      ft_xdp_up(cpu, FT_MISS_NO_ENTRY);
	}
	transit.flow = bpf_map_lookup_elem(&flows6, &parsed.key);
	return transit.flow ? ft_xdp_forward(ctx, cpu, &parsed, &transit, FT_IPV6_HEADER) : ft_xdp_up(cpu, FT_MISS_NO_ENTRY);
}

#endif
