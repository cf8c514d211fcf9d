/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the fast path is measured beside: a program that does nothing, one that only sends on, one that besides
 * has to find its flow and count, a source and a sink of frames. */
#include "bpf.h"

struct bench_config {
	ft_u32 device; /* where frames leave */
	ft_u32 flows;
	ft_u8 macs[12];
	ft_u8 source[4]; /* of the first flow; the others have the next ports, then the next addresses */
	ft_u8 target[4];
};

#define BENCH_PORTS 50000
#define BENCH_FIRST_PORT 10000
#define BENCH_FRAME 60

const volatile struct bench_config bench = { 0 };

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_DEVMAP_HASH);
	FT_MAP_TYPE(key, ft_u32);
	FT_MAP_TYPE(value, ft_u32);
	FT_MAP_UINT(max_entries, 4);
} exits SEC(".maps");

/* As large as those of the fast path. */
struct bench_key { ft_u32 words[5]; };
struct bench_flow { ft_u32 entry; ft_u32 rest[6]; };
struct bench_entry { ft_u64 packets; ft_u64 rest[7]; };

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_HASH);
	FT_MAP_TYPE(key, struct bench_key);
	FT_MAP_TYPE(value, struct bench_flow);
	FT_MAP_UINT(max_entries, 1024);
} flows SEC(".maps");

struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	FT_MAP_TYPE(key, ft_u32);
	FT_MAP_TYPE(value, struct bench_entry);
	FT_MAP_UINT(max_entries, 1024);
} entries SEC(".maps");

/* Frames that were generated, and those that arrived. */
struct {
	FT_MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	FT_MAP_TYPE(key, ft_u32);
	FT_MAP_TYPE(value, ft_u64);
	FT_MAP_UINT(max_entries, 2);
} counts SEC(".maps");

static FT_INLINE ft_u64 bench_count(ft_u32 which)
{
	ft_u64 *count = bpf_map_lookup_elem(&counts, &which);

	return count ? (*count)++ : 0;
}

SEC("xdp")
int bench_empty(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

SEC("xdp")
int bench_redirect(struct xdp_md *ctx)
{
	(void)ctx;
	return (int)bpf_redirect_map(&exits, bench.device, XDP_ABORTED);
}

/* No flow table can do with less: a packet of `bench_source` finds its flow and is counted. */
SEC("xdp")
int bench_find(struct xdp_md *ctx)
{
	const ft_u8 *data = (const ft_u8 *)(long)ctx->data;
	const ft_u8 *end = (const ft_u8 *)(long)ctx->data_end;
	struct bench_key key = { { 0 } };
	struct bench_entry *entry;
	struct bench_flow *flow;

	if (data + BENCH_FRAME > end)
		return XDP_ABORTED;
	ft_copy(key.words, data + 26, 12);
	flow = bpf_map_lookup_elem(&flows, &key);
	if (!flow)
		return XDP_ABORTED;
	entry = bpf_map_lookup_elem(&entries, &flow->entry);
	if (!entry)
		return XDP_ABORTED;
	entry->packets++;
	return (int)bpf_redirect_map(&exits, bench.device, XDP_ABORTED);
}

SEC("xdp")
int bench_sink(struct xdp_md *ctx)
{
	(void)ctx;
	bench_count(1);
	return XDP_DROP;
}

/* A datagram of one flow after the other; the pages come back as who had them last left them. */
SEC("xdp")
int bench_source(struct xdp_md *ctx)
{
	ft_u8 *data = (ft_u8 *)(long)ctx->data;
	const ft_u8 *end = (const ft_u8 *)(long)ctx->data_end;
	ft_u64 number = bench_count(0) % bench.flows;
	ft_u32 sum = 0;
	ft_u8 *ip = data + 14;
	ft_u16 port = (ft_u16)(BENCH_FIRST_PORT + number % BENCH_PORTS);

	if (data + BENCH_FRAME > end)
		return XDP_ABORTED;
	for (int i = 0; i < 12; i++)
		data[i] = bench.macs[i];
	ft_store16(data + 12, 0x0800);
	ft_store16(ip, 0x4500);
	ft_store16(ip + 2, BENCH_FRAME - 14);
	ft_store16(ip + 4, 0);
	ft_store16(ip + 6, 0x4000);
	ft_store16(ip + 8, 64 << 8 | 17);
	ft_store16(ip + 10, 0);
	for (int i = 0; i < 4; i++) {
		ip[12 + i] = bench.source[i];
		ip[16 + i] = bench.target[i];
	}
	ip[15] = (ft_u8)(ip[15] + number / BENCH_PORTS);
	for (int i = 0; i < 20; i += 2)
		sum += ft_load16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ft_store16(ip + 10, (ft_u16)~sum);
	ft_store16(ip + 20, port);
	ft_store16(ip + 22, 9);
	ft_store16(ip + 24, BENCH_FRAME - 34);
	ft_store16(ip + 26, 0);
	return (int)bpf_redirect_map(&exits, bench.device, XDP_ABORTED);
}

char _license[] SEC("license") = "Dual BSD/GPL";
