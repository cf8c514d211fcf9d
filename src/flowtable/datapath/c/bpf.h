/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an XDP or tc program needs of the kernel's stable interface: include/uapi/linux/bpf.h. */
#ifndef FT_BPF_H
#define FT_BPF_H

#include "bytes.h"

#define SEC(name) __attribute__((section(name), used))

/* Maps are declared in BTF: libbpf reads the types and sizes of these members. */
#define FT_MAP_UINT(name, value) int (*name)[value]
#define FT_MAP_TYPE(name, value) __typeof__(value) *name

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_DEVMAP = 14,
	BPF_MAP_TYPE_DEVMAP_HASH = 25,
	BPF_MAP_TYPE_RINGBUF = 27,
};

#define BPF_F_NO_PREALLOC 1
#define BPF_F_MMAPABLE 1024

enum xdp_action { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };

struct xdp_md {
	ft_u32 data;
	ft_u32 data_end;
	ft_u32 data_meta;
	ft_u32 ingress_ifindex;
	ft_u32 rx_queue_index;
	ft_u32 egress_ifindex;
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static long (*const bpf_redirect_map)(void *map, ft_u64 key, ft_u64 flags) = (void *)51;
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
static ft_u64 (*const bpf_jiffies64)(void) = (void *)118;
static void *(*const bpf_ringbuf_reserve)(void *ringbuf, ft_u64 size, ft_u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, ft_u64 flags) = (void *)132;
static ft_u64 (*const bpf_ktime_get_coarse_ns)(void) = (void *)160;

#endif
