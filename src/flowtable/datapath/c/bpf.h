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

#define BPF_F_MMAPABLE 1024
#define BPF_F_PSEUDO_HDR 16
#define BPF_F_MARK_MANGLED_0 32
#define BPF_F_ADJ_ROOM_FIXED_GSO 1
#define BPF_ADJ_ROOM_MAC 1

enum xdp_action { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };

struct xdp_md {
	ft_u32 data;
	ft_u32 data_end;
	ft_u32 data_meta;
	ft_u32 ingress_ifindex;
	ft_u32 rx_queue_index;
	ft_u32 egress_ifindex;
};

enum tc_action { TC_ACT_UNSPEC = -1, TC_ACT_SHOT = 2 };

/* As far as it is needed. */
struct __sk_buff {
	ft_u32 len;
	ft_u32 pkt_type;
	ft_u32 mark;
	ft_u32 queue_mapping;
	ft_u32 protocol;
	ft_u32 vlan_present;
	ft_u32 vlan_tci;
	ft_u32 vlan_proto;
	ft_u32 priority;
	ft_u32 ingress_ifindex;
	ft_u32 ifindex;
	ft_u32 tc_index;
	ft_u32 cb[5];
	ft_u32 hash;
	ft_u32 tc_classid;
	ft_u32 data;
	ft_u32 data_end;
	ft_u32 napi_id;
	ft_u32 family;
	ft_u32 remote_ip4;
	ft_u32 local_ip4;
	ft_u32 remote_ip6[4];
	ft_u32 local_ip6[4];
	ft_u32 remote_port;
	ft_u32 local_port;
	ft_u32 data_meta;
	ft_u64 flow_keys;
	ft_u64 tstamp;
	ft_u32 wire_len;
	ft_u32 gso_segs;
	ft_u64 sk;
	ft_u32 gso_size;
};
_Static_assert(__builtin_offsetof(struct __sk_buff, data) == 76, "include/uapi/linux/bpf.h");
_Static_assert(__builtin_offsetof(struct __sk_buff, gso_size) == 176, "include/uapi/linux/bpf.h");

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static ft_u32 (*const bpf_get_prandom_u32)(void) = (void *)7;
static long (*const bpf_l4_csum_replace)(struct __sk_buff *skb, ft_u32 at, ft_u64 from, ft_u64 to,
					  ft_u64 flags) = (void *)11;
static long (*const bpf_skb_vlan_push)(struct __sk_buff *skb, ft_u16 protocol, ft_u16 tci) = (void *)18;
static long (*const bpf_skb_vlan_pop)(struct __sk_buff *skb) = (void *)19;
static long (*const bpf_redirect)(ft_u32 ifindex, ft_u64 flags) = (void *)23;
static long (*const bpf_skb_load_bytes)(const struct __sk_buff *skb, ft_u32 at, void *to, ft_u32 size) = (void *)26;
static long (*const bpf_skb_change_tail)(struct __sk_buff *skb, ft_u32 length, ft_u64 flags) = (void *)38;
static long (*const bpf_skb_pull_data)(struct __sk_buff *skb, ft_u32 length) = (void *)39;
static long (*const bpf_csum_update)(struct __sk_buff *skb, ft_u32 delta) = (void *)40;
static long (*const bpf_skb_adjust_room)(struct __sk_buff *skb, int delta, ft_u32 mode, ft_u64 flags) = (void *)50;
static long (*const bpf_xdp_adjust_head)(struct xdp_md *ctx, int delta) = (void *)44;
static long (*const bpf_redirect_map)(void *map, ft_u64 key, ft_u64 flags) = (void *)51;
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
static ft_u64 (*const bpf_jiffies64)(void) = (void *)118;
static void *(*const bpf_ringbuf_reserve)(void *ringbuf, ft_u64 size, ft_u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, ft_u64 flags) = (void *)132;
static void (*const bpf_ringbuf_discard)(void *data, ft_u64 flags) = (void *)133;
static ft_u64 (*const bpf_ktime_get_coarse_ns)(void) = (void *)160;
static long (*const bpf_xdp_load_bytes)(struct xdp_md *ctx, ft_u32 at, void *to, ft_u32 size) = (void *)189;

#endif
