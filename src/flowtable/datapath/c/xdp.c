/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path in the kernel, at the earliest place: XDP. */
#include "bpf.h"
#include "fastpath.h"
#include "key.h"
#include "layout.h"
#include "rewrite.h"

#define FT_KEY_SIZE(size) (__builtin_offsetof(struct ft_key, addresses) + (size))
#define FT_FLOW_SIZE(size) (__builtin_offsetof(struct ft_flow, addresses) + (size))

/* Keys and flows of a family are cut behind its addresses. */
struct ft_key4 { ft_u8 bytes[FT_KEY_SIZE(8)]; };
struct ft_key6 { ft_u8 bytes[FT_KEY_SIZE(32)]; };
struct ft_flow4 { ft_u8 bytes[FT_FLOW_SIZE(8)]; };
struct ft_flow6 { ft_u8 bytes[FT_FLOW_SIZE(32)]; };

/* Sizes are set by the loader before it loads. */
struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_HASH);
	FT_MAP_TYPE(key, struct ft_key4);
	FT_MAP_TYPE(value, struct ft_flow4);
	FT_MAP_UINT(max_entries, 1024);
} flows4 SEC(".maps");

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_HASH);
	FT_MAP_TYPE(key, struct ft_key6);
	FT_MAP_TYPE(value, struct ft_flow6);
	FT_MAP_UINT(max_entries, 1024);
} flows6 SEC(".maps");

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_HASH);
	FT_MAP_TYPE(key, struct ft_link_key);
	FT_MAP_TYPE(value, struct ft_link);
	FT_MAP_UINT(max_entries, 1024);
} links SEC(".maps");

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	FT_MAP_TYPE(key, ft_u32);
	FT_MAP_TYPE(value, struct ft_entry);
	FT_MAP_UINT(max_entries, 1024);
	FT_MAP_UINT(map_flags, BPF_F_MMAPABLE);
} entries SEC(".maps");

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	FT_MAP_TYPE(key, ft_u32);
	FT_MAP_TYPE(value, struct ft_next_hop);
	FT_MAP_UINT(max_entries, 1024);
} next_hops SEC(".maps");

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_DEVMAP);
	FT_MAP_TYPE(key, ft_u32);
	FT_MAP_TYPE(value, ft_u32);
	FT_MAP_UINT(max_entries, 1024);
} devices SEC(".maps");

/* By the index of the device. */
struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	FT_MAP_TYPE(key, ft_u32);
	FT_MAP_TYPE(value, struct ft_port);
	FT_MAP_UINT(max_entries, 1024);
} ports SEC(".maps");

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	FT_MAP_TYPE(key, ft_u32);
	FT_MAP_TYPE(value, struct ft_cpu);
	FT_MAP_UINT(max_entries, 1);
} cpus SEC(".maps");

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_RINGBUF);
	FT_MAP_UINT(max_entries, 1 << 18);
} events SEC(".maps");

const volatile struct ft_config config = { 0 };

static FT_INLINE struct ft_cpu *ft_this_cpu(void)
{
	ft_u32 only = 0;

	return bpf_map_lookup_elem(&cpus, &only);
}

static FT_INLINE int ft_up(struct ft_cpu *cpu, enum ft_miss miss)
{
	cpu->counts[miss]++;
	return XDP_PASS;
}

/* The coarse clock, which moves with the jiffies and takes longer to read. */
static FT_INLINE ft_u64 ft_now(struct ft_cpu *cpu)
{
	ft_u64 jiffies = bpf_jiffies64();

	if (cpu->jiffies != jiffies) {
		cpu->now = bpf_ktime_get_coarse_ns();
		cpu->jiffies = jiffies;
	}
	return cpu->now;
}

/* End a flow with a packet: no other one is to take it, however long it takes until somebody reads
 * of it. */
static FT_INLINE void ft_end_flow(ft_u32 number, struct ft_entry *entry, enum ft_end end)
{
	struct ft_ending *ending;

	entry->ended = FT_ENDED_TEARDOWN;
	ending = bpf_ringbuf_reserve(&events, sizeof(*ending), 0);
	if (!ending)
		return;
	ending->time = bpf_ktime_get_coarse_ns();
	ending->entry = number;
	ending->end = end;
	bpf_ringbuf_submit(ending, 0);
}

/* Whether a frame is for the box: a device that is listened to takes in the frames for others too. */
static FT_INLINE int ft_mine(const ft_u8 *frame, ft_u32 iif)
{
	const struct ft_port *port = bpf_map_lookup_elem(&ports, &iif);

	if (!port)
		return 0;
	return port->state == FT_PORT_PROMISCUOUS ||
	       (port->state == FT_PORT_STATION && ft_same_mac(frame, port->mac));
}

/* Put a link-layer header in front of a packet. It is 14 bytes, and 4 for each tag, 8 for PPPoE. */
static FT_INLINE int ft_push(ft_u8 *to, const ft_u8 *end, const struct ft_next_hop *hop)
{
	if (to + FT_ETHERNET > end)
		return -1;
	ft_copy_out(to, hop->head, FT_ETHERNET);
	/* That the packet behind it is in the frame is checked, so it is too. */
	FT_UNROLL
	for (ft_u32 at = FT_ETHERNET; at < FT_HEAD_MAX; at += FT_TAG) {
		if (at >= hop->length || to + at + FT_TAG > end)
			break;
		ft_copy_out(to + at, hop->head + at, FT_TAG);
	}
	return 0;
}

/* Give the frame the length that it leaves with, link-layer header and all; its bytes stay. */
static FT_INLINE int ft_resize(struct xdp_md *ctx, ft_u32 network, ft_u32 head, ft_u32 there, ft_u32 size)
{
	if (there != size && bpf_xdp_adjust_tail(ctx, (int)size - (int)there))
		return -1;
	return network != head && bpf_xdp_adjust_head(ctx, (int)network - (int)head) ? -1 : 0;
}

/* Change a packet that goes through, whose frame has its new length already. */
static FT_INLINE int ft_rewrite(struct xdp_md *ctx, const struct ft_parsed *parsed, const struct ft_flow *flow,
				const struct ft_next_hop *hop, ft_u32 size, ft_u32 header)
{
	ft_u8 *data = (ft_u8 *)(long)ctx->data;
	const ft_u8 *end = (const ft_u8 *)(long)ctx->data_end;
	ft_u8 *ip = data + (hop->length & 63);
	ft_u8 *transport = ip + header;

	if (ft_push(data, end, hop) || ft_finish_head(data, end, hop, parsed, size) || transport + 4 > end)
		return -1;
	if (header == FT_IPV4_HEADER)
		ft_rewrite_ipv4(ip, flow);
	else
		ft_rewrite_ipv6(ip, flow);
	if (parsed->key.protocol == FT_TCP) {
		if (transport + 20 > end)
			return -1;
		ft_rewrite_transport(transport, flow, FT_TCP);
	} else if (parsed->key.protocol == FT_UDP) {
		if (transport + 8 > end)
			return -1;
		ft_rewrite_transport(transport, flow, FT_UDP);
	}
	return 0;
}

static FT_INLINE int ft_forward(struct xdp_md *ctx, struct ft_cpu *cpu, const struct ft_parsed *parsed, const struct ft_link *link,
				const struct ft_flow *flow, const struct ft_config *settings, ft_u32 header)
{
	const ft_u8 *data = (const ft_u8 *)(long)ctx->data;
	const ft_u8 *end = (const ft_u8 *)(long)ctx->data_end;
	ft_u32 network = parsed->network & 63;
	const ft_u8 *ip = data + network;
	ft_u32 there = (ft_u32)(end - ip);
	struct ft_decision decision;
	struct ft_next_hop *hop;
	struct ft_entry *entry;
	enum ft_miss miss;
	ft_u8 tcp_flags = 0;
	int action;

	if ((flow->flags & FT_FLOW_STATION) && !link)
		link = bpf_map_lookup_elem(&links, &parsed->link);
	/* The key was read from there, but not in a way that the verifier remembers. */
	if (data + FT_ETHERNET > end || ip + header > end)
		return ft_up(cpu, FT_MISS_TRUNCATED);
	if (parsed->key.protocol == FT_TCP) {
		if (ip + header + 20 > end)
			return ft_up(cpu, FT_MISS_TRUNCATED);
		tcp_flags = ip[header + 13];
	}
	if (!(flow->flags & FT_FLOW_STATION) && !ft_mine(data, ctx->ingress_ifindex))
		return ft_up(cpu, FT_MISS_STATION);
	entry = bpf_map_lookup_elem(&entries, &flow->entry);
	hop = bpf_map_lookup_elem(&next_hops, &flow->next_hop);
	if (!entry || !hop)
		return ft_up(cpu, FT_MISS_NO_ENTRY);
	miss = ft_decide(parsed, data, ip, tcp_flags, there, settings, link, flow, hop, entry, &decision);
	if (miss != FT_MISS_NONE) {
		if (decision.end != FT_END_NONE)
			ft_end_flow(flow->entry, entry, decision.end);
		return ft_up(cpu, miss);
	}
	/* Asked before a byte changes: what cannot leave goes up the classic path as it came. */
	action = (int)bpf_redirect_map(&devices, hop->device, XDP_PASS);
	if (action != XDP_REDIRECT)
		return ft_up(cpu, FT_MISS_NO_DEVICE);
	if (ft_resize(ctx, network, hop->length, there, decision.size))
		return ft_up(cpu, FT_MISS_NO_ROOM);
	if (ft_rewrite(ctx, parsed, flow, hop, decision.size, header))
		return XDP_DROP;
	ft_count(flow, entry, decision.size, ft_now(cpu), settings);
	ft_up(cpu, FT_MISS_NONE);
	return action;
}

SEC("xdp")
int ft_xdp(struct xdp_md *ctx)
{
	const ft_u8 *data = (const ft_u8 *)(long)ctx->data;
	const ft_u8 *end = (const ft_u8 *)(long)ctx->data_end;
	const struct ft_config *settings = (const struct ft_config *)&config;
	const struct ft_link *link = 0;
	const struct ft_flow *flow;
	struct ft_parsed parsed;
	struct ft_cpu *cpu = ft_this_cpu();
	enum ft_miss miss;

	if (!cpu)
		return XDP_PASS;
	/* The loader writes the configuration: the compiler must not take what stands here for it. */
	__asm__ volatile("" : "+r"(settings));
	miss = ft_parse(data, end, ctx->ingress_ifindex, settings, &parsed);
	if (miss != FT_MISS_NONE)
		return ft_up(cpu, miss);
	if (parsed.link.depth) {
		link = bpf_map_lookup_elem(&links, &parsed.link);
		if (!link)
			return ft_up(cpu, FT_MISS_NO_ENTRY);
		parsed.key.link = link->number;
	}
	/* Flows of the two families differ in size, which the verifier holds apart only like this. */
	if (parsed.family == FT_IPV4) {
		flow = bpf_map_lookup_elem(&flows4, &parsed.key);
		return flow ? ft_forward(ctx, cpu, &parsed, link, flow, settings, FT_IPV4_HEADER) :
			      ft_up(cpu, FT_MISS_NO_ENTRY);
	}
	flow = bpf_map_lookup_elem(&flows6, &parsed.key);
	return flow ? ft_forward(ctx, cpu, &parsed, link, flow, settings, FT_IPV6_HEADER) : ft_up(cpu, FT_MISS_NO_ENTRY);
}

char _license[] SEC("license") = "Dual BSD/GPL";
