/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path at ingress of traffic control: for devices without XDP, and behind GRO, where a frame may
 * stand for many. A tag may have been taken off into the notes of the packet already. */
#ifndef FT_TC_H
#define FT_TC_H

#include "kernel.h"
#include "rewrite.h"

/* As much of a frame as is looked at: the longest link-layer header, IPv6, TCP. */
#define FT_TC_LOOK (FT_HEAD_MAX + FT_IPV6_HEADER + 20)

static FT_INLINE int ft_tc_up(struct ft_cpu *cpu, enum ft_miss miss)
{
	cpu->counts[miss]++;
	return TC_ACT_UNSPEC;
}

/* The key of a frame, whose outermost tag the device or the stack may have taken off. */
static FT_INLINE enum ft_miss ft_tc_parse(const struct __sk_buff *skb, const ft_u8 *data, const ft_u8 *end,
					  struct ft_parsed *parsed)
{
	const struct ft_config *config = ft_settings();

	ft_begin(skb->ifindex, parsed);
	if (!skb->vlan_present)
		return ft_parse(data, end, 0, config, parsed);
	if (!config->max_encap)
		return FT_MISS_ENCAPSULATION;
	parsed->link.encap[0].id = (ft_u16)(skb->vlan_tci & config->tci_mask);
	parsed->link.encap[0].protocol = __builtin_bswap16((ft_u16)skb->vlan_proto);
	parsed->priorities[0] = (ft_u8)(skb->vlan_tci >> 8 & 0xf0);
	return ft_parse(data, end, 1, config, parsed);
}

/* The largest packet that a frame stands for, behind GRO. Ref: net/core/gso.c:skb_gso_network_seglen. */
static FT_INLINE ft_u32 ft_tc_largest(const struct __sk_buff *skb, const struct ft_parsed *parsed, const ft_u8 *data,
				      const ft_u8 *end, ft_u32 header)
{
	const ft_u8 *transport = data + (parsed->network & 63) + header;

	if (parsed->key.protocol == FT_UDP)
		return header + 8 + skb->gso_size;
	if (parsed->key.protocol != FT_TCP || transport + 20 > end)
		return 0xffff;
	return header + (transport[12] >> 4) * 4u + skb->gso_size;
}

/* What the addresses do to the transport checksum. */
static FT_INLINE ft_u16 ft_tc_addresses(const struct ft_flow *flow)
{
	return flow->l4_delta ? ft_checksum(flow->ip_delta, FT_TTL_DELTA) : 0;
}

/* Have the transport checksum follow. Where only that of the pseudo header is in it, for a device to fill in
 * the rest, ports are no part of it: the kernel knows, and is told of both by themselves. */
static FT_INLINE int ft_tc_checksum(struct __sk_buff *skb, const struct ft_flow *flow, ft_u8 protocol, ft_u32 transport)
{
	ft_u32 at = transport + (protocol == FT_TCP ? 16 : 6);
	ft_u64 flags = protocol == FT_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	ft_u16 addresses = ft_tc_addresses(flow);
	ft_u16 ports = ft_checksum(flow->l4_delta, addresses);

	if (bpf_l4_csum_replace(skb, at, 0, __builtin_bswap16(ports), flags))
		return -1;
	return bpf_l4_csum_replace(skb, at, 0, __builtin_bswap16(addresses), flags | BPF_F_PSEUDO_HDR) ? -1 : 0;
}

static FT_INLINE int ft_tc_rewrite(struct __sk_buff *skb, const struct ft_parsed *parsed,
				   const struct ft_transit *transit, ft_u32 header)
{
	const struct ft_next_hop *hop = transit->hop;
	const struct ft_flow *flow = transit->flow;
	ft_u8 protocol = parsed->key.protocol;
	ft_u32 network = hop->length & 63;
	const ft_u8 *end;
	ft_u8 *data, *ip;

	if (flow->l4_delta && ft_tc_checksum(skb, flow, protocol, network + header))
		return -1;
	if (header == FT_IPV6_HEADER)
		/* A sum over the whole packet, if a device made one: without checksum of its own the header
		 * changes it by the hop limit, but not by the addresses, for which the kernel allowed. */
		bpf_csum_update(skb, __builtin_bswap16(ft_checksum(ft_tc_addresses(flow), 1)));
	data = (ft_u8 *)(long)skb->data;
	end = (const ft_u8 *)(long)skb->data_end;
	ip = data + network;
	if (ft_push(data, end, hop) || ft_finish_head(data, end, hop, parsed, transit->decision.size) ||
	    ip + header + 4 > end)
		return -1;
	if (header == FT_IPV4_HEADER)
		ft_rewrite_ipv4(ip, flow);
	else
		ft_rewrite_ipv6(ip, flow);
	if (protocol != FT_GRE)
		ft_copy_out(ip + header, &flow->sport, 4);
	return 0;
}

/* Take off a PPPoE header. Room can only be removed in front of what the kernel knows as an IP packet, tags can
 * be taken off everything: so the header becomes two tags. That there are any in the frame the kernel learns from
 * a third, which it puts there when it gets a fourth. */
static FT_INLINE int ft_tc_pop_session(struct __sk_buff *skb, ft_u32 header)
{
	ft_u8 *data = (ft_u8 *)(long)skb->data;
	const ft_u8 *end = (const ft_u8 *)(long)skb->data_end;
	ft_u16 vlan = __builtin_bswap16(FT_ETH_VLAN);

	if (data + FT_ETHERNET + FT_PPPOE > end)
		return -1;
	ft_store16(data + 12, FT_ETH_VLAN);
	ft_store16(data + 14, 0);
	ft_store16(data + 16, FT_ETH_VLAN);
	ft_store16(data + 18, 0);
	ft_store16(data + 20, header == FT_IPV4_HEADER ? FT_ETH_IPV4 : FT_ETH_IPV6);
	if (bpf_skb_vlan_push(skb, vlan, 0) || bpf_skb_vlan_push(skb, vlan, 0))
		return -1;
	FT_UNROLL
	for (int i = 0; i < 4; i++)
		if (bpf_skb_vlan_pop(skb))
			return -1;
	return 0;
}

static FT_INLINE int ft_tc_forward(struct __sk_buff *skb, struct ft_cpu *cpu, struct ft_parsed *parsed,
				   struct ft_transit *transit, ft_u32 header)
{
	const ft_u8 *data = (const ft_u8 *)(long)skb->data;
	const ft_u8 *end = (const ft_u8 *)(long)skb->data_end;
	ft_u32 network = parsed->network & 63;
	struct ft_sample *sample;
	enum ft_miss miss;
	ft_u32 size;
	ft_u32 length;
	ft_u64 now;

	if (skb->gso_size)
		parsed->largest = ft_tc_largest(skb, parsed, data, end, header);
	miss = ft_judge(parsed, transit, data, end, skb->len - network, header);
	if (miss != FT_MISS_NONE)
		return ft_tc_up(cpu, miss);
	size = transit->decision.size;
	/* Each packet of many has a length of its own there. */
	if (skb->gso_size && (transit->hop->pppoe || parsed->session))
		return ft_tc_up(cpu, FT_MISS_NO_ROOM);
	if (skb->len != network + size && bpf_skb_change_tail(skb, network + size, 0))
		return ft_tc_up(cpu, FT_MISS_NO_ROOM);
	FT_UNROLL
	for (int i = 0; i < FT_ENCAP_MAX; i++)
		if (i < parsed->tags && bpf_skb_vlan_pop(skb))
			return TC_ACT_SHOT;
	if (parsed->session && ft_tc_pop_session(skb, header))
		return TC_ACT_SHOT;
	if (transit->hop->length != FT_ETHERNET &&
	    bpf_skb_adjust_room(skb, transit->hop->length - FT_ETHERNET, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return TC_ACT_SHOT;
	if (ft_tc_rewrite(skb, parsed, transit, header))
		return TC_ACT_SHOT;
	now = ft_now(cpu);
	ft_count(transit->flow, transit->entry, size, now, ft_settings());
	cpu->counts[FT_MISS_NONE]++;
	length = transit->hop->length + size;
	sample = ft_sample(parsed->link.iif, transit->hop->device, length, now);
	if (sample)
		ft_sampled(sample, bpf_skb_load_bytes(skb, 0, sample->frame, ft_kept(length)));
	return (int)bpf_redirect(transit->hop->device, 0);
}

SEC("tc")
int ft_tc(struct __sk_buff *skb)
{
	const ft_u8 *data = (const ft_u8 *)(long)skb->data;
	const ft_u8 *end = (const ft_u8 *)(long)skb->data_end;
	struct ft_cpu *cpu = ft_this_cpu();
	struct ft_transit transit;
	struct ft_parsed parsed __attribute__((aligned(8)));
	ft_u32 look = skb->len < FT_TC_LOOK ? skb->len : FT_TC_LOOK;
	enum ft_miss miss;

	if (!cpu)
		return TC_ACT_UNSPEC;
	if (data + look > end) {
		if (bpf_skb_pull_data(skb, look))
			return ft_tc_up(cpu, FT_MISS_TRUNCATED);
		data = (const ft_u8 *)(long)skb->data;
		end = (const ft_u8 *)(long)skb->data_end;
	}
	miss = ft_tc_parse(skb, data, end, &parsed);
	if (miss != FT_MISS_NONE)
		return ft_tc_up(cpu, miss);
	if (ft_find_link(&parsed, &transit))
		return ft_tc_up(cpu, FT_MISS_NO_ENTRY);
	if (parsed.family == FT_IPV4) {
		transit.flow = bpf_map_lookup_elem(&flows4, &parsed.key);
		return transit.flow ? ft_tc_forward(skb, cpu, &parsed, &transit, FT_IPV4_HEADER) :
				      ft_tc_up(cpu, FT_MISS_NO_ENTRY);
	}
	transit.flow = bpf_map_lookup_elem(&flows6, &parsed.key);
	return transit.flow ? ft_tc_forward(skb, cpu, &parsed, &transit, FT_IPV6_HEADER) : ft_tc_up(cpu, FT_MISS_NO_ENTRY);
}

#endif
