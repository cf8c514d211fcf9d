/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path in a process: batches of frames, until one needs the classic path. */
#include "fastpath.h"
#include "key.h"
#include "layout.h"
#include "rewrite.h"
#include "table.h"

#define FT_GROUP 32u
#define FT_AHEAD 16u
#define FT_FIRST_GROUP 4u

/* Keys and flows of a family are cut behind its addresses. */
#define FT_KEY_SIZE(size) ((ft_u32)__builtin_offsetof(struct ft_key, addresses) + (size))
#define FT_FLOW_SIZE(size) ((ft_u32)__builtin_offsetof(struct ft_flow, addresses) + (size))

/* The datapath of one flowtable. */
struct ft_native {
	struct ft_config config;
	struct ft_table ipv4, ipv6, links;
	struct ft_pool entries, next_hops;
	const struct ft_door *doors; /* by device index; the caller's */
	ft_u32 door_count;
};

/* A frame on its way through a group. */
struct ft_passage {
	struct ft_parsed parsed;
	const ft_u8 *frame;
	const struct ft_link *link;
	ft_u32 length, hash, number;
	enum ft_miss miss;
};

struct ft_native *ft_new(const struct ft_config *config);
void ft_free(struct ft_native *native);
void ft_set_doors(struct ft_native *native, const struct ft_door *doors, ft_u32 count);
struct ft_entry *ft_entry(struct ft_native *native, ft_u32 number);
struct ft_next_hop *ft_next_hop(struct ft_native *native, ft_u32 number);
int ft_set_link(struct ft_native *native, const struct ft_link_key *key, const struct ft_link *link);
int ft_remove_link(struct ft_native *native, const struct ft_link_key *key);
int ft_set_flow(struct ft_native *native, ft_u8 family, const struct ft_key *key, const struct ft_flow *flow);
int ft_remove_flow(struct ft_native *native, ft_u8 family, const struct ft_key *key);
ft_u64 ft_memory(const struct ft_native *native);
void ft_process(struct ft_native *native, struct ft_batch *batch);
ft_u32 ft_process_one(struct ft_native *native, const ft_u8 *frame, ft_u32 length, ft_u32 iif, ft_u64 now,
		      struct ft_batch *batch);

struct ft_native *ft_new(const struct ft_config *config)
{
	struct ft_native *native = calloc(1, sizeof(*native));

	if (!native)
		return NULL;
	native->config = *config;
	native->entries.size = sizeof(struct ft_entry);
	native->next_hops.size = sizeof(struct ft_next_hop);
	if (ft_table_init(&native->ipv4, FT_KEY_SIZE(8), FT_FLOW_SIZE(8)) ||
	    ft_table_init(&native->ipv6, FT_KEY_SIZE(32), FT_FLOW_SIZE(32)) ||
	    ft_table_init(&native->links, sizeof(struct ft_link_key), sizeof(struct ft_link))) {
		ft_free(native);
		return NULL;
	}
	return native;
}

void ft_free(struct ft_native *native)
{
	ft_table_free(&native->ipv4);
	ft_table_free(&native->ipv6);
	ft_table_free(&native->links);
	ft_pool_free(&native->entries);
	ft_pool_free(&native->next_hops);
	free(native);
}

/* The caller keeps the doors for as long as they are set. */
void ft_set_doors(struct ft_native *native, const struct ft_door *doors, ft_u32 count)
{
	native->doors = doors;
	native->door_count = count;
}

/* Entries and next hops have the numbers that the caller gives them, from 1 and dense. The item of
 * a number stays where it is; NULL without memory. */
struct ft_entry *ft_entry(struct ft_native *native, ft_u32 number)
{
	return ft_pool_reach(&native->entries, number) ? NULL : ft_pool_at(&native->entries, number);
}

struct ft_next_hop *ft_next_hop(struct ft_native *native, ft_u32 number)
{
	return ft_pool_reach(&native->next_hops, number) ? NULL : ft_pool_at(&native->next_hops, number);
}

static int ft_set(struct ft_table *table, const void *key, const void *value)
{
	ft_u32 number = ft_table_find(table, key, ft_hash(key, table->key_size));

	if (!number)
		number = ft_table_add(table, key);
	if (!number)
		return -1;
	memcpy(ft_table_value(table, number), value, table->value_size);
	return 0;
}

static int ft_remove(struct ft_table *table, const void *key)
{
	ft_u32 number = ft_table_find(table, key, ft_hash(key, table->key_size));

	return number ? ft_table_remove(table, number) : -1;
}

int ft_set_link(struct ft_native *native, const struct ft_link_key *key, const struct ft_link *link)
{
	return ft_set(&native->links, key, link);
}

int ft_remove_link(struct ft_native *native, const struct ft_link_key *key)
{
	return ft_remove(&native->links, key);
}

int ft_set_flow(struct ft_native *native, ft_u8 family, const struct ft_key *key, const struct ft_flow *flow)
{
	return ft_set(family == FT_IPV4 ? &native->ipv4 : &native->ipv6, key, flow);
}

int ft_remove_flow(struct ft_native *native, ft_u8 family, const struct ft_key *key)
{
	return ft_remove(family == FT_IPV4 ? &native->ipv4 : &native->ipv6, key);
}

static ft_u64 ft_table_memory(const struct ft_table *table)
{
	ft_u64 slots = (ft_u64)table->mask + 1 + (table->old ? (ft_u64)table->old_mask + 1 : 0);

	return (ft_u64)ft_pool_room(&table->items) * table->items.size + slots * sizeof(*table->slots);
}

ft_u64 ft_memory(const struct ft_native *native)
{
	return ft_table_memory(&native->ipv4) + ft_table_memory(&native->ipv6) +
	       (ft_u64)ft_pool_room(&native->entries) * native->entries.size +
	       (ft_u64)ft_pool_room(&native->next_hops) * native->next_hops.size;
}

static const struct ft_link *ft_find_link(const struct ft_native *native, const struct ft_link_key *key)
{
	ft_u32 number = ft_table_find(&native->links, key, ft_hash(key, sizeof(*key)));

	return number ? ft_table_value(&native->links, number) : NULL;
}

static ft_u8 ft_door_flags(const struct ft_native *native, ft_u32 device)
{
	return device < native->door_count ? native->doors[device].flags : 0;
}

static int ft_accepts(const struct ft_native *native, const ft_u8 *frame, ft_u32 length, ft_u32 iif)
{
	const struct ft_door *door;

	if (!(ft_door_flags(native, iif) & FT_DOOR_IN) || length < 6)
		return 0;
	door = &native->doors[iif];
	return ft_same_mac(frame, door->mac) || ft_same_mac(frame, door->other);
}

/* Parse a frame, and have the slot of its flow fetched. */
static void ft_look(const struct ft_native *native, struct ft_passage *passage, ft_u32 iif)
{
	struct ft_parsed *parsed = &passage->parsed;
	const struct ft_table *table;

	passage->link = NULL;
	ft_begin(iif, parsed);
	passage->miss = ft_parse(passage->frame, passage->frame + passage->length, 0, &native->config, parsed);
	if (passage->miss != FT_MISS_NONE)
		return;
	if (parsed->link.depth) {
		passage->link = ft_find_link(native, &parsed->link);
		if (!passage->link) {
			passage->miss = FT_MISS_NO_ENTRY;
			return;
		}
		parsed->key.link = passage->link->number;
	}
	table = parsed->family == FT_IPV4 ? &native->ipv4 : &native->ipv6;
	passage->hash = ft_hash(&parsed->key, table->key_size);
	__builtin_prefetch(&table->slots[passage->hash & table->mask]);
}

static const struct ft_table *ft_table_of(const struct ft_native *native, const struct ft_parsed *parsed)
{
	return parsed->family == FT_IPV4 ? &native->ipv4 : &native->ipv6;
}

/* Have what the slot of a frame's flow refers to fetched. */
static void ft_approach(const struct ft_native *native, const struct ft_passage *passage)
{
	const struct ft_table *table = ft_table_of(native, &passage->parsed);
	ft_u32 number;

	if (passage->miss != FT_MISS_NONE)
		return;
	number = table->slots[passage->hash & table->mask];
	if (number != FT_EMPTY && number != FT_MOVED)
		__builtin_prefetch(ft_table_value(table, number));
}

/* Find the flow of a frame, and have what it refers to fetched. */
static void ft_find(const struct ft_native *native, struct ft_passage *passage)
{
	const struct ft_table *table = ft_table_of(native, &passage->parsed);
	const struct ft_flow *flow;

	if (passage->miss != FT_MISS_NONE)
		return;
	passage->number = ft_table_find(table, &passage->parsed.key, passage->hash);
	if (!passage->number) {
		passage->miss = FT_MISS_NO_ENTRY;
		return;
	}
	flow = ft_table_value(table, passage->number);
	__builtin_prefetch(ft_pool_at(&native->entries, flow->entry), 1);
}

static int ft_stop_at(struct ft_batch *batch, ft_u32 stop, enum ft_miss miss)
{
	batch->stop = stop;
	batch->miss = miss;
	batch->end = FT_END_NONE;
	return -1;
}

/* Write a frame as it leaves. */
static void ft_write(ft_u8 *out, const struct ft_passage *passage, const struct ft_flow *flow,
		     const struct ft_next_hop *hop, ft_u32 size)
{
	const struct ft_parsed *parsed = &passage->parsed;
	ft_u32 transport = (ft_u32)parsed->transport - parsed->network;

	memcpy(out, hop->head, hop->length);
	ft_finish_head(out, out + hop->length, hop, parsed, size);
	out += hop->length;
	memcpy(out, passage->frame + parsed->network, size);
	if (parsed->family == FT_IPV4)
		ft_rewrite_ipv4(out, flow);
	else
		ft_rewrite_ipv6(out, flow);
	ft_rewrite_transport(out + transport, flow, parsed->key.protocol);
}

/* Whether another frame can leave that is no longer than the one that arrived. Asked before anything
 * is decided of it, so that it is decided once. */
static int ft_has_room(const struct ft_batch *batch, const struct ft_passage *passage)
{
	ft_u32 size = passage->length - passage->parsed.network;

	/* No MTU is larger. */
	if (size > 0xffff)
		size = 0xffff;
	return batch->left.count < batch->room && batch->left.size - batch->used >= FT_HEAD_MAX + size;
}

/* The place of another frame that leaves. */
static ft_u8 *ft_leave(struct ft_batch *batch, ft_u32 device, ft_u32 length, ft_u64 now)
{
	struct ft_burst *left = &batch->left;
	ft_u32 at = batch->used;

	((ft_u32 *)left->offsets)[left->count] = at;
	((ft_u32 *)left->lengths)[left->count] = length;
	((ft_u32 *)left->devices)[left->count] = device;
	((ft_u64 *)left->times)[left->count++] = now;
	batch->used += length;
	return (ft_u8 *)left->frames + at;
}

/* Forward a frame; -1 if the batch stops with it. Nothing has changed then, except for STOP_EXIT. */
static int ft_send(const struct ft_native *native, struct ft_passage *passage, struct ft_batch *batch, ft_u64 now)
{
	const struct ft_parsed *parsed = &passage->parsed;
	const ft_u8 *ip = passage->frame + parsed->network;
	const struct ft_next_hop *hop;
	const struct ft_flow *flow;
	struct ft_decision decision;
	struct ft_entry *entry;
	enum ft_miss miss;
	ft_u8 flags;

	if (passage->miss != FT_MISS_NONE)
		return ft_stop_at(batch, FT_STOP_MISS, passage->miss);
	if (!ft_has_room(batch, passage))
		return ft_stop_at(batch, FT_STOP_SPACE, FT_MISS_NONE);
	flow = ft_table_value(ft_table_of(native, parsed), passage->number);
	entry = ft_pool_at(&native->entries, flow->entry);
	hop = ft_pool_at(&native->next_hops, flow->next_hop);
	if ((flow->flags & FT_FLOW_STATION) && !passage->link)
		passage->link = ft_find_link(native, &parsed->link);
	flags = parsed->key.protocol == FT_TCP ? passage->frame[parsed->transport + 13] : 0;
	miss = ft_decide(parsed, passage->frame, ip, flags, passage->length - parsed->network, &native->config,
			 passage->link, flow, hop, entry, &decision);
	if (miss != FT_MISS_NONE) {
		int handover = miss == FT_MISS_NO_NEIGHBOUR && (flow->flags & FT_FLOW_HANDED_OVER);

		ft_stop_at(batch, handover ? FT_STOP_HANDOVER : FT_STOP_MISS, miss);
		batch->end = decision.end;
		batch->entry = flow->entry;
		batch->reply = flow->flags & FT_FLOW_REPLY ? 1 : 0;
		return -1;
	}
	ft_count(flow, entry, decision.size, now, &native->config);
	ft_write(ft_leave(batch, hop->device, hop->length + decision.size, now), passage, flow, hop, decision.size);
	batch->next++;
	return ft_door_flags(native, hop->device) & FT_DOOR_OUT ? 0 : ft_stop_at(batch, FT_STOP_EXIT, FT_MISS_NONE);
}

/* Look at frames from `batch->next` on; how many may be forwarded together. */
static ft_u32 ft_gather(const struct ft_native *native, struct ft_batch *batch, struct ft_passage *group, ft_u32 most)
{
	const struct ft_burst *arrived = &batch->arrived;
	ft_u32 count = 0;

	for (; count < most && batch->next + count < arrived->count; count++) {
		ft_u32 i = batch->next + count;
		const ft_u8 *frame = (const ft_u8 *)arrived->frames + ((const ft_u32 *)arrived->offsets)[i];
		ft_u32 length = ((const ft_u32 *)arrived->lengths)[i];
		ft_u32 iif = ((const ft_u32 *)arrived->devices)[i];

		if (i + FT_AHEAD < arrived->count) {
			const ft_u8 *later = (const ft_u8 *)arrived->frames +
					     ((const ft_u32 *)arrived->offsets)[i + FT_AHEAD];

			__builtin_prefetch(later);
			__builtin_prefetch(later + 64);
		}
		if (((const ft_u64 *)arrived->times)[i] >= batch->until) {
			batch->stop = FT_STOP_TIME;
			break;
		}
		if (!ft_accepts(native, frame, length, iif)) {
			batch->stop = FT_STOP_DOOR;
			break;
		}
		group[count].frame = frame;
		group[count].length = length;
		ft_look(native, &group[count], iif);
	}
	return count;
}

/* Forward frames in their order until one does not go through. Reading ahead hides what memory
 * takes: no frame changes what the ones behind it are looked up by. */
void ft_process(struct ft_native *native, struct ft_batch *batch)
{
	struct ft_passage group[FT_GROUP];
	/* Few at first: where each needs the classic path, looking ahead is in vain. */
	ft_u32 most = FT_FIRST_GROUP;

	do {
		const ft_u64 *times = (const ft_u64 *)batch->arrived.times + batch->next;
		ft_u32 count;

		batch->stop = FT_STOP_END;
		count = ft_gather(native, batch, group, most);
		for (ft_u32 i = 0; i < count; i++)
			ft_approach(native, &group[i]);
		for (ft_u32 i = 0; i < count; i++)
			ft_find(native, &group[i]);
		for (ft_u32 i = 0; i < count; i++)
			if (ft_send(native, &group[i], batch, times[i]))
				return;
		most = most < FT_GROUP ? most * 2 : FT_GROUP;
	} while (batch->stop == FT_STOP_END && batch->next < batch->arrived.count);
}

/* Forward one frame, whatever its device; `batch` says where to, and what came of it. The length of
 * the frame that left, 0 for none. */
ft_u32 ft_process_one(struct ft_native *native, const ft_u8 *frame, ft_u32 length, ft_u32 iif, ft_u64 now,
		      struct ft_batch *batch)
{
	struct ft_passage passage;

	batch->left.count = 0;
	batch->used = 0;
	passage.frame = frame;
	passage.length = length;
	ft_look(native, &passage, iif);
	ft_find(native, &passage);
	ft_send(native, &passage, batch, now);
	return batch->used;
}
