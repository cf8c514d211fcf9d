/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs in the kernel share: the tables, and from the key of a frame to what becomes of it. */
#ifndef FT_KERNEL_H
#define FT_KERNEL_H

#include "bpf.h"
#include "fastpath.h"
#include "key.h"
#include "layout.h"

#define FT_KEY_SIZE(size) (__builtin_offsetof(struct ft_key, addresses) + (size))
#define FT_FLOW_SIZE(size) (__builtin_offsetof(struct ft_flow, addresses) + (size))

/* Keys and flows of a family are cut behind its addresses; to whole words, which the kernel compares faster,
 * where zeros follow. */
struct ft_key4 { ft_u8 bytes[FT_KEY_SIZE(8) + 4]; };
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

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_RINGBUF);
	FT_MAP_UINT(max_entries, 4096);
} samples SEC(".maps");

const volatile struct ft_config config = { 0 };

static FT_INLINE struct ft_cpu *ft_this_cpu(void)
{
	ft_u32 only = 0;

	return bpf_map_lookup_elem(&cpus, &only);
}

/* The loader writes the configuration: the compiler must not take what stands there for it. */
static FT_INLINE const struct ft_config *ft_settings(void)
{
	const struct ft_config *settings = (const struct ft_config *)&config;

	__asm__ volatile("" : "+r"(settings));
	return settings;
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

/* What was found for a packet. `ft_parsed` is no part of it: what helpers get pointers to stays in memory. */
struct ft_transit {
	const struct ft_link *link;
	const struct ft_flow *flow;
	struct ft_entry *entry;
	const struct ft_next_hop *hop;
	struct ft_decision decision;
};

/* Find the link of a frame with encapsulation, whose number is part of the key. */
static FT_INLINE int ft_find_link(struct ft_parsed *parsed, struct ft_transit *transit)
{
	transit->link = 0;
	if (!parsed->link.depth)
		return 0;
	transit->link = bpf_map_lookup_elem(&links, &parsed->link);
	if (!transit->link)
		return -1;
	parsed->key.link = transit->link->number;
	return 0;
}

/* What becomes of a packet whose flow was found and of which `there` bytes arrived; `header` is the length
 * of its IP header, a constant, which the verifier needs. */
static FT_INLINE enum ft_miss ft_judge(const struct ft_parsed *parsed, struct ft_transit *transit,
				       const ft_u8 *data, const ft_u8 *end, ft_u32 there, ft_u32 header)
{
	const struct ft_flow *flow = transit->flow;
	ft_u32 network = parsed->network & 63;
	const ft_u8 *ip = data + network;
	ft_u8 tcp_flags = 0;
	enum ft_miss miss;

	if ((flow->flags & FT_FLOW_STATION) && !transit->link)
		transit->link = bpf_map_lookup_elem(&links, &parsed->link);
	/* The key was read from there, but not in a way that the verifier remembers. */
	if (data + FT_ETHERNET > end || ip + header > end)
		return FT_MISS_TRUNCATED;
	if (parsed->key.protocol == FT_TCP) {
		if (ip + header + 20 > end)
			return FT_MISS_TRUNCATED;
		tcp_flags = ip[header + 13];
	}
	if (!(flow->flags & FT_FLOW_STATION) && !ft_mine(data, parsed->link.iif))
		return FT_MISS_STATION;
	transit->entry = bpf_map_lookup_elem(&entries, &flow->entry);
	transit->hop = bpf_map_lookup_elem(&next_hops, &flow->next_hop);
	if (!transit->entry || !transit->hop)
		return FT_MISS_NO_ENTRY;
	miss = ft_decide(parsed, data, ip, tcp_flags, there, ft_settings(), transit->link, flow,
			 transit->hop, transit->entry, &transit->decision);
	if (transit->decision.end != FT_END_NONE)
		ft_end_flow(flow->entry, transit->entry, transit->decision.end);
	return miss;
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

/* How much of a sampled frame is kept; the verifier has to see that it is some, and no more than fits. */
static FT_INLINE ft_u32 ft_kept(ft_u32 length)
{
	ft_u32 kept = length < FT_SNAP ? length : FT_SNAP;

	return ((kept - 1) & (FT_SNAP - 1)) + 1;
}

/* A record to copy a packet into that goes through, if it is its turn. Packets in the kernel's fast path are
 * seen by no packet socket. */
static FT_INLINE struct ft_sample *ft_sample(ft_u32 arrived, ft_u32 left, ft_u32 length, ft_u64 now)
{
	ft_u32 of = ft_settings()->sample;
	struct ft_sample *sample;

	if (!of || bpf_get_prandom_u32() % of)
		return 0;
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample)
		return 0;
	sample->time = now;
	sample->arrived = arrived;
	sample->left = left;
	sample->length = length;
	sample->kept = ft_kept(length);
	return sample;
}

/* Hand the record over, filled in with this result of a helper. */
static FT_INLINE void ft_sampled(struct ft_sample *sample, long failed)
{
	if (failed)
		bpf_ringbuf_discard(sample, 0);
	else
		bpf_ringbuf_submit(sample, 0);
}

#endif
