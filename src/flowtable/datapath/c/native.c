/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path in a process: batches of frames, until one needs the classic path. */
#include "fastpath.h"
#include "key.h"
#include "layout.h"
#include "rewrite.h"
#include "table.h"

#define FT_GROUP 16u

/* Keys and flows of a family are cut behind its addresses. */
#define FT_KEY_SIZE(size) ((ft_u32)__builtin_offsetof(struct ft_key, addresses) + (size))
#define FT_FLOW_SIZE(size) ((ft_u32)__builtin_offsetof(struct ft_flow, addresses) + (size))

/* The datapath of one flowtable. */
struct ft_native {
	struct ft_config config;
	struct ft_table ipv4, ipv6, links;
	struct ft_pool entries, next_hops;
	const struct ft_port *ports; /* by device index */
	ft_u32 port_count;
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
void ft_set_ports(struct ft_native *native, const struct ft_port *ports, ft_u32 count);
struct ft_entry *ft_entry(struct ft_native *native, ft_u32 number);
struct ft_next_hop *ft_next_hop(struct ft_native *native, ft_u32 number);
int ft_set_link(struct ft_native *native, const struct ft_link_key *key, const struct ft_link *link);
int ft_remove_link(struct ft_native *native, const struct ft_link_key *key);
int ft_set_flow(struct ft_native *native, ft_u8 family, const struct ft_key *key, const struct ft_flow *flow);
int ft_remove_flow(struct ft_native *native, ft_u8 family, const struct ft_key *key);
ft_u64 ft_memory(const struct ft_native *native);
void ft_process(struct ft_native *native, struct ft_batch *batch);
void ft_process_one(struct ft_native *native, const ft_u8 *frame, ft_u32 length, ft_u32 iif, ft_u64 now,
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

/* The caller keeps the ports for as long as they are set. */
void ft_set_ports(struct ft_native *native, const struct ft_port *ports, ft_u32 count)
{
	native->ports = ports;
	native->port_count = count;
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

	return (ft_u64)table->items.chunk_count * FT_CHUNK * table->items.size + slots * sizeof(*table->slots);
}

ft_u64 ft_memory(const struct ft_native *native)
{
	return ft_table_memory(&native->ipv4) + ft_table_memory(&native->ipv6) +
	       (ft_u64)native->entries.chunk_count * FT_CHUNK * native->entries.size +
	       (ft_u64)native->next_hops.chunk_count * FT_CHUNK * native->next_hops.size;
}

static const struct ft_link *ft_find_link(const struct ft_native *native, const struct ft_link_key *key)
{
	ft_u32 number = ft_table_find(&native->links, key, ft_hash(key, sizeof(*key)));

	return number ? ft_table_value(&native->links, number) : NULL;
}

static int ft_accepts(const struct ft_native *native, const ft_u8 *frame, ft_u32 length, ft_u32 iif)
{
	const struct ft_port *port;

	if (iif >= native->port_count)
		return 0;
	port = &native->ports[iif];
	if (port->state == FT_PORT_STATION)
		return length >= 6 && !memcmp(port->mac, frame, 6);
	return port->state == FT_PORT_PROMISCUOUS;
}

/* Parse a frame, and have the slot of its flow fetched. */
static void ft_look(const struct ft_native *native, struct ft_passage *passage, ft_u32 iif)
{
	struct ft_parsed *parsed = &passage->parsed;
	const struct ft_table *table;

	passage->link = NULL;
	passage->miss = ft_parse(passage->frame, passage->frame + passage->length, iif, &native->config, parsed);
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

/* Find the flow of a frame, and have it fetched. */
static void ft_find(const struct ft_native *native, struct ft_passage *passage)
{
	const struct ft_parsed *parsed = &passage->parsed;
	const struct ft_table *table = parsed->family == FT_IPV4 ? &native->ipv4 : &native->ipv6;

	if (passage->miss != FT_MISS_NONE)
		return;
	passage->number = ft_table_find(table, &parsed->key, passage->hash);
	if (!passage->number)
		passage->miss = FT_MISS_NO_ENTRY;
}

static int ft_stop_at(struct ft_batch *batch, ft_u32 stop, enum ft_miss miss)
{
	batch->stop = stop;
	batch->miss = miss;
	batch->end = FT_END_NONE;
	return -1;
}

/* Forward a frame; -1 if the batch stops with it. */
static int ft_send(const struct ft_native *native, struct ft_passage *passage, struct ft_batch *batch, ft_u64 now)
{
	const struct ft_parsed *parsed = &passage->parsed;
	const struct ft_table *table = parsed->family == FT_IPV4 ? &native->ipv4 : &native->ipv6;
	const ft_u8 *frame = passage->frame, *ip = frame + parsed->network;
	ft_u32 transport = (ft_u32)parsed->transport - parsed->network;
	const struct ft_next_hop *hop;
	const struct ft_flow *flow;
	struct ft_decision decision;
	struct ft_entry *entry;
	struct ft_sent *sent;
	enum ft_miss miss;
	ft_u8 *out;

	if (passage->miss != FT_MISS_NONE)
		return ft_stop_at(batch, FT_STOP_MISS, passage->miss);
	flow = ft_table_value(table, passage->number);
	entry = ft_pool_at(&native->entries, flow->entry);
	hop = ft_pool_at(&native->next_hops, flow->next_hop);
	if ((flow->flags & FT_FLOW_STATION) && !passage->link)
		passage->link = ft_find_link(native, &parsed->link);
	miss = ft_decide(parsed, frame, ip, parsed->key.protocol == FT_TCP ? ip[transport + 13] : 0,
			 passage->length - parsed->network, &native->config, passage->link, flow, hop, entry,
			 &decision);
	if (miss != FT_MISS_NONE) {
		int handover = miss == FT_MISS_NO_NEIGHBOUR && (flow->flags & FT_FLOW_HANDED_OVER);

		ft_stop_at(batch, handover ? FT_STOP_HANDOVER : FT_STOP_MISS, miss);
		batch->end = decision.end;
		batch->entry = flow->entry;
		batch->reply = flow->flags & FT_FLOW_REPLY ? 1 : 0;
		return -1;
	}
	if (batch->out_size - batch->out_used < decision.size + hop->length)
		return ft_stop_at(batch, FT_STOP_SPACE, FT_MISS_NONE);
	ft_count(flow, entry, decision.size, now, &native->config);
	out = (ft_u8 *)batch->out + batch->out_used;
	memcpy(out, hop->head, hop->length);
	ft_finish_head(out, hop, parsed, decision.size);
	out += hop->length;
	memcpy(out, ip, decision.size);
	if (parsed->family == FT_IPV4)
		ft_rewrite_ipv4(out, flow);
	else
		ft_rewrite_ipv6(out, flow);
	ft_rewrite_transport(out + transport, flow, parsed->key.protocol);
	sent = (struct ft_sent *)batch->sent + batch->done;
	sent->device = hop->device;
	sent->length = hop->length + decision.size;
	batch->out_used += sent->length;
	batch->done++;
	return 0;
}

/* Forward frames in their order until one does not go through. Reading ahead hides what memory
 * takes: no frame changes what the ones behind it are looked up by. */
void ft_process(struct ft_native *native, struct ft_batch *batch)
{
	const ft_u8 *frame = (const ft_u8 *)batch->frames;
	const ft_u32 *lengths = (const ft_u32 *)batch->lengths;
	const ft_u32 *iifs = (const ft_u32 *)batch->iifs;
	const ft_u64 *times = (const ft_u64 *)batch->times;
	struct ft_passage group[FT_GROUP];
	ft_u32 first = 0;

	batch->done = 0;
	batch->out_used = 0;
	batch->stop = FT_STOP_END;
	while (first < batch->count) {
		ft_u32 count = 0;

		batch->stop = FT_STOP_END;
		for (; count < FT_GROUP && first + count < batch->count; count++) {
			ft_u32 i = first + count;

			if (times[i] >= batch->until) {
				batch->stop = FT_STOP_TIME;
				break;
			}
			if (!ft_accepts(native, frame, lengths[i], iifs[i])) {
				batch->stop = FT_STOP_PORT;
				break;
			}
			group[count].frame = frame;
			group[count].length = lengths[i];
			ft_look(native, &group[count], iifs[i]);
			frame += lengths[i];
		}
		for (ft_u32 i = 0; i < count; i++)
			ft_find(native, &group[i]);
		for (ft_u32 i = 0; i < count; i++)
			if (ft_send(native, &group[i], batch, times[first + i]))
				return;
		if (batch->stop != FT_STOP_END)
			return;
		first += count;
	}
}

/* Forward one frame, whatever its device; `batch` says where to, and what came of it. */
void ft_process_one(struct ft_native *native, const ft_u8 *frame, ft_u32 length, ft_u32 iif, ft_u64 now,
		    struct ft_batch *batch)
{
	struct ft_passage passage;

	batch->done = 0;
	batch->out_used = 0;
	batch->stop = FT_STOP_END;
	passage.frame = frame;
	passage.length = length;
	ft_look(native, &passage, iif);
	ft_find(native, &passage);
	ft_send(native, &passage, batch, now);
}
