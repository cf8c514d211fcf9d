/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Written by tools/generate-layout from datapath/layout.py, which says what is what. */
#ifndef FT_LAYOUT_H
#define FT_LAYOUT_H

#include "bytes.h"

#define FT_IPV4 0x2
#define FT_IPV6 0xa
#define FT_ENCAP_MAX 0x4
#define FT_HEAD_MAX 0x2e
#define FT_SNAP 0x100
#define FT_VID 0xfff
#define FT_TAGGED 0x80000000
#define FT_FLOW_REPLY 0x1
#define FT_FLOW_STALE 0x2
#define FT_FLOW_HANDED_OVER 0x4
#define FT_FLOW_STATION 0x8
#define FT_ENDED_TEARDOWN 0x1
#define FT_ENDED_GONE 0x2
#define FT_PORT_CLOSED 0x0
#define FT_PORT_STATION 0x1
#define FT_PORT_PROMISCUOUS 0x2
#define FT_DOOR_IN 0x1
#define FT_DOOR_OUT 0x2
#define FT_STOP_END 0x0
#define FT_STOP_MISS 0x1
#define FT_STOP_DOOR 0x2
#define FT_STOP_TIME 0x3
#define FT_STOP_HANDOVER 0x4
#define FT_STOP_SPACE 0x5
#define FT_STOP_EXIT 0x6

enum ft_miss {
	FT_MISS_NONE,
	FT_MISS_TRUNCATED,
	FT_MISS_NOT_IP,
	FT_MISS_FAMILY,
	FT_MISS_ENCAPSULATION,
	FT_MISS_FRAGMENT,
	FT_MISS_IP_OPTIONS,
	FT_MISS_EXTENSION_HEADER,
	FT_MISS_PROTOCOL,
	FT_MISS_TTL_EXPIRED,
	FT_MISS_GRE_VERSION,
	FT_MISS_NO_ENTRY,
	FT_MISS_TEARDOWN,
	FT_MISS_CONNECTION_GONE,
	FT_MISS_STATION,
	FT_MISS_CONGESTION,
	FT_MISS_TOO_BIG,
	FT_MISS_TCP_CLOSING,
	FT_MISS_TCP_REOPEN,
	FT_MISS_STALE_ROUTE,
	FT_MISS_NO_NEIGHBOUR,
	FT_MISS_NO_DEVICE,
	FT_MISS_NO_ROOM,
	FT_MISS_COUNT,
};

enum ft_end {
	FT_END_NONE,
	FT_END_FIN,
	FT_END_RST,
	FT_END_REOPEN,
	FT_END_ROUTE,
	FT_END_COUNT,
};

struct ft_config {
	ft_u64 granularity;
	ft_u16 tci_mask;
	ft_u8 max_encap;
	ft_u8 ipv4;
	ft_u8 ipv6;
	ft_u8 gre;
	ft_u8 inner_8021ad;
	ft_u8 bypass_closing;
	ft_u8 whole_frames;
	ft_u8 reserved[3];
	ft_u32 sample;
};
_Static_assert(__builtin_offsetof(struct ft_config, granularity) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, tci_mask) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, max_encap) == 10, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, ipv4) == 11, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, ipv6) == 12, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, gre) == 13, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, inner_8021ad) == 14, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, bypass_closing) == 15, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, whole_frames) == 16, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, reserved) == 17, "layout");
_Static_assert(__builtin_offsetof(struct ft_config, sample) == 20, "layout");
_Static_assert(sizeof(struct ft_config) == 24, "layout");

struct ft_encap {
	ft_u16 id;
	ft_u16 protocol;
};
_Static_assert(__builtin_offsetof(struct ft_encap, id) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_encap, protocol) == 2, "layout");
_Static_assert(sizeof(struct ft_encap) == 4, "layout");

struct ft_link_key {
	ft_u32 iif;
	ft_u8 depth;
	ft_u8 reserved[3];
	struct ft_encap encap[4];
};
_Static_assert(__builtin_offsetof(struct ft_link_key, iif) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_link_key, depth) == 4, "layout");
_Static_assert(__builtin_offsetof(struct ft_link_key, reserved) == 5, "layout");
_Static_assert(__builtin_offsetof(struct ft_link_key, encap) == 8, "layout");
_Static_assert(sizeof(struct ft_link_key) == 24, "layout");

struct ft_link {
	ft_u32 number;
	ft_u8 own[6];
	ft_u8 other[6];
	ft_u8 peer[6];
	ft_u8 session;
	ft_u8 reserved;
};
_Static_assert(__builtin_offsetof(struct ft_link, number) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_link, own) == 4, "layout");
_Static_assert(__builtin_offsetof(struct ft_link, other) == 10, "layout");
_Static_assert(__builtin_offsetof(struct ft_link, peer) == 16, "layout");
_Static_assert(__builtin_offsetof(struct ft_link, session) == 22, "layout");
_Static_assert(__builtin_offsetof(struct ft_link, reserved) == 23, "layout");
_Static_assert(sizeof(struct ft_link) == 24, "layout");

struct ft_key {
	ft_u32 link;
	ft_u8 sport[2];
	ft_u8 dport[2];
	ft_u8 protocol;
	ft_u8 reserved[3];
	ft_u8 addresses[32];
};
_Static_assert(__builtin_offsetof(struct ft_key, link) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_key, sport) == 4, "layout");
_Static_assert(__builtin_offsetof(struct ft_key, dport) == 6, "layout");
_Static_assert(__builtin_offsetof(struct ft_key, protocol) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_key, reserved) == 9, "layout");
_Static_assert(__builtin_offsetof(struct ft_key, addresses) == 12, "layout");
_Static_assert(sizeof(struct ft_key) == 44, "layout");

struct ft_flow {
	ft_u32 next_hop;
	ft_u32 entry;
	ft_u16 mtu;
	ft_u16 flags;
	ft_u16 ip_delta;
	ft_u16 l4_delta;
	ft_u8 sport[2];
	ft_u8 dport[2];
	ft_u8 addresses[32];
};
_Static_assert(__builtin_offsetof(struct ft_flow, next_hop) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_flow, entry) == 4, "layout");
_Static_assert(__builtin_offsetof(struct ft_flow, mtu) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_flow, flags) == 10, "layout");
_Static_assert(__builtin_offsetof(struct ft_flow, ip_delta) == 12, "layout");
_Static_assert(__builtin_offsetof(struct ft_flow, l4_delta) == 14, "layout");
_Static_assert(__builtin_offsetof(struct ft_flow, sport) == 16, "layout");
_Static_assert(__builtin_offsetof(struct ft_flow, dport) == 18, "layout");
_Static_assert(__builtin_offsetof(struct ft_flow, addresses) == 20, "layout");
_Static_assert(sizeof(struct ft_flow) == 52, "layout");

struct ft_counter {
	ft_u64 packets;
	ft_u64 bytes;
	ft_u64 used;
};
_Static_assert(__builtin_offsetof(struct ft_counter, packets) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_counter, bytes) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_counter, used) == 16, "layout");
_Static_assert(sizeof(struct ft_counter) == 24, "layout");

struct ft_entry {
	ft_u64 refreshed;
	ft_u8 closing;
	ft_u8 ended;
	ft_u8 reserved[6];
	struct ft_counter counters[2];
};
_Static_assert(__builtin_offsetof(struct ft_entry, refreshed) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_entry, closing) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_entry, ended) == 9, "layout");
_Static_assert(__builtin_offsetof(struct ft_entry, reserved) == 10, "layout");
_Static_assert(__builtin_offsetof(struct ft_entry, counters) == 16, "layout");
_Static_assert(sizeof(struct ft_entry) == 64, "layout");

struct ft_next_hop {
	ft_u32 device;
	ft_u8 length;
	ft_u8 tags;
	ft_u8 pppoe;
	ft_u8 reserved;
	ft_u8 head[46];
	ft_u8 padding[2];
};
_Static_assert(__builtin_offsetof(struct ft_next_hop, device) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_next_hop, length) == 4, "layout");
_Static_assert(__builtin_offsetof(struct ft_next_hop, tags) == 5, "layout");
_Static_assert(__builtin_offsetof(struct ft_next_hop, pppoe) == 6, "layout");
_Static_assert(__builtin_offsetof(struct ft_next_hop, reserved) == 7, "layout");
_Static_assert(__builtin_offsetof(struct ft_next_hop, head) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_next_hop, padding) == 54, "layout");
_Static_assert(sizeof(struct ft_next_hop) == 56, "layout");

struct ft_ending {
	ft_u64 time;
	ft_u32 entry;
	ft_u32 end;
};
_Static_assert(__builtin_offsetof(struct ft_ending, time) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_ending, entry) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_ending, end) == 12, "layout");
_Static_assert(sizeof(struct ft_ending) == 16, "layout");

struct ft_sample {
	ft_u64 time;
	ft_u32 arrived;
	ft_u32 left;
	ft_u32 length;
	ft_u32 kept;
	ft_u8 frame[256];
};
_Static_assert(__builtin_offsetof(struct ft_sample, time) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_sample, arrived) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_sample, left) == 12, "layout");
_Static_assert(__builtin_offsetof(struct ft_sample, length) == 16, "layout");
_Static_assert(__builtin_offsetof(struct ft_sample, kept) == 20, "layout");
_Static_assert(__builtin_offsetof(struct ft_sample, frame) == 24, "layout");
_Static_assert(sizeof(struct ft_sample) == 280, "layout");

struct ft_cpu {
	ft_u64 counts[23];
	ft_u64 jiffies;
	ft_u64 now;
};
_Static_assert(__builtin_offsetof(struct ft_cpu, counts) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_cpu, jiffies) == 184, "layout");
_Static_assert(__builtin_offsetof(struct ft_cpu, now) == 192, "layout");
_Static_assert(sizeof(struct ft_cpu) == 200, "layout");

struct ft_port {
	ft_u8 mac[6];
	ft_u8 state;
	ft_u8 reserved;
};
_Static_assert(__builtin_offsetof(struct ft_port, mac) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_port, state) == 6, "layout");
_Static_assert(__builtin_offsetof(struct ft_port, reserved) == 7, "layout");
_Static_assert(sizeof(struct ft_port) == 8, "layout");

struct ft_door {
	ft_u8 mac[6];
	ft_u8 other[6];
	ft_u8 flags;
	ft_u8 reserved[3];
};
_Static_assert(__builtin_offsetof(struct ft_door, mac) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_door, other) == 6, "layout");
_Static_assert(__builtin_offsetof(struct ft_door, flags) == 12, "layout");
_Static_assert(__builtin_offsetof(struct ft_door, reserved) == 13, "layout");
_Static_assert(sizeof(struct ft_door) == 16, "layout");

struct ft_burst {
	ft_u64 frames;
	ft_u64 offsets;
	ft_u64 lengths;
	ft_u64 devices;
	ft_u64 times;
	ft_u32 count;
	ft_u32 size;
};
_Static_assert(__builtin_offsetof(struct ft_burst, frames) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_burst, offsets) == 8, "layout");
_Static_assert(__builtin_offsetof(struct ft_burst, lengths) == 16, "layout");
_Static_assert(__builtin_offsetof(struct ft_burst, devices) == 24, "layout");
_Static_assert(__builtin_offsetof(struct ft_burst, times) == 32, "layout");
_Static_assert(__builtin_offsetof(struct ft_burst, count) == 40, "layout");
_Static_assert(__builtin_offsetof(struct ft_burst, size) == 44, "layout");
_Static_assert(sizeof(struct ft_burst) == 48, "layout");

struct ft_batch {
	struct ft_burst arrived;
	struct ft_burst left;
	ft_u64 until;
	ft_u32 next;
	ft_u32 room;
	ft_u32 used;
	ft_u32 stop;
	ft_u32 miss;
	ft_u32 end;
	ft_u32 entry;
	ft_u32 reply;
};
_Static_assert(__builtin_offsetof(struct ft_batch, arrived) == 0, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, left) == 48, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, until) == 96, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, next) == 104, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, room) == 108, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, used) == 112, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, stop) == 116, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, miss) == 120, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, end) == 124, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, entry) == 128, "layout");
_Static_assert(__builtin_offsetof(struct ft_batch, reply) == 132, "layout");
_Static_assert(sizeof(struct ft_batch) == 136, "layout");

#endif
