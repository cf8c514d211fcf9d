/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A hash table for use in a process: open addressing over 32-bit references.
 *
 * Items lie in chunks that never move, each item in as few lines of the processor's cache as can be.
 * The first chunks are small; later ones are as large as a huge page, since finding the pages of
 * millions of flows takes longer than finding the flows. The references double when they are half full; the old ones
 * move over a few with every insertion, so that none takes long, and the order of everything
 * depends on nothing but the calls.
 */
#ifndef FT_TABLE_H
#define FT_TABLE_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bytes.h"
#include "layout.h"

#define FT_LINE 64u
#define FT_HUGE_PAGE (2u << 20)
#define FT_SMALL_CHUNK 1024u
#define FT_SMALL_CHUNKS 32u
#define FT_LARGE_CHUNK 32768u
#define FT_FIRST_SLOTS 1024u
#define FT_MOVED_AT_ONCE 64u
#define FT_EMPTY 0u
#define FT_MOVED 0xffffffffu

/* Items of one size by number, from 1. Freed numbers are used again, last freed first. */
struct ft_pool {
	ft_u8 **chunks;
	ft_u32 *spare;
	ft_u32 size, chunk_count, used, spare_count, spare_size;
};

static inline void *ft_pool_at(const struct ft_pool *pool, ft_u32 number)
{
	ft_u32 index = number - 1, small = FT_SMALL_CHUNKS * FT_SMALL_CHUNK;

	if (index < small)
		return pool->chunks[index / FT_SMALL_CHUNK] + (size_t)(index % FT_SMALL_CHUNK) * pool->size;
	index -= small;
	return pool->chunks[FT_SMALL_CHUNKS + index / FT_LARGE_CHUNK] + (size_t)(index % FT_LARGE_CHUNK) * pool->size;
}

/* Zeroed memory in whole lines of the cache; of large ones the system does the zeroing, when they are
 * touched, and in huge pages if it has any. NULL without memory. */
static inline void *ft_acquire(size_t size)
{
	ft_u8 *memory, *aligned;

	if (size < FT_HUGE_PAGE) {
		size = (size + FT_LINE - 1) & ~(size_t)(FT_LINE - 1);
		memory = aligned_alloc(FT_LINE, size);
		return memory ? memset(memory, 0, size) : NULL;
	}
	memory = mmap(NULL, size + FT_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	aligned = memory + (-(size_t)memory & (FT_HUGE_PAGE - 1));
	if (aligned != memory)
		munmap(memory, (size_t)(aligned - memory));
	munmap(aligned + size, (size_t)(memory + FT_HUGE_PAGE - aligned));
	madvise(aligned, size, MADV_HUGEPAGE);
	return aligned;
}

static inline void ft_release(void *memory, size_t size)
{
	if (memory && size >= FT_HUGE_PAGE)
		munmap(memory, size);
	else
		free(memory);
}

static inline ft_u32 ft_chunk_items(ft_u32 chunk)
{
	return chunk < FT_SMALL_CHUNKS ? FT_SMALL_CHUNK : FT_LARGE_CHUNK;
}

/* Items in all chunks. */
static inline ft_u32 ft_pool_room(const struct ft_pool *pool)
{
	if (pool->chunk_count <= FT_SMALL_CHUNKS)
		return pool->chunk_count * FT_SMALL_CHUNK;
	return FT_SMALL_CHUNKS * FT_SMALL_CHUNK + (pool->chunk_count - FT_SMALL_CHUNKS) * FT_LARGE_CHUNK;
}

/* Have all items up to a number, new ones zeroed; -1 without memory. */
static inline int ft_pool_reach(struct ft_pool *pool, ft_u32 number)
{
	while (number > ft_pool_room(pool)) {
		ft_u8 **chunks = realloc(pool->chunks, (pool->chunk_count + 1) * sizeof(*chunks));

		if (!chunks)
			return -1;
		pool->chunks = chunks;
		chunks[pool->chunk_count] = ft_acquire((size_t)ft_chunk_items(pool->chunk_count) * pool->size);
		if (!chunks[pool->chunk_count])
			return -1;
		pool->chunk_count++;
	}
	return 0;
}

/* A number for a zeroed item, 0 without memory. */
static inline ft_u32 ft_pool_take(struct ft_pool *pool)
{
	if (pool->spare_count) {
		ft_u32 number = pool->spare[--pool->spare_count];

		memset(ft_pool_at(pool, number), 0, pool->size);
		return number;
	}
	return ft_pool_reach(pool, pool->used + 1) ? 0 : ++pool->used;
}

static inline int ft_pool_give(struct ft_pool *pool, ft_u32 number)
{
	if (pool->spare_count == pool->spare_size) {
		ft_u32 size = pool->spare_size ? pool->spare_size * 2 : 64;
		ft_u32 *spare = realloc(pool->spare, size * sizeof(*spare));

		if (!spare)
			return -1;
		pool->spare = spare;
		pool->spare_size = size;
	}
	pool->spare[pool->spare_count++] = number;
	return 0;
}

static inline void ft_pool_free(struct ft_pool *pool)
{
	for (ft_u32 i = 0; i < pool->chunk_count; i++)
		ft_release(pool->chunks[i], (size_t)ft_chunk_items(i) * pool->size);
	free(pool->chunks);
	free(pool->spare);
}

/* Values by key: each item is a value and then its key. */
struct ft_table {
	struct ft_pool items;
	ft_u32 *slots, *old;
	ft_u32 mask, old_mask, moved, count;
	ft_u32 key_size, value_size;
};

static inline void *ft_table_value(const struct ft_table *table, ft_u32 number)
{
	return ft_pool_at(&table->items, number);
}

static inline const ft_u8 *ft_table_key(const struct ft_table *table, ft_u32 number)
{
	return (const ft_u8 *)ft_pool_at(&table->items, number) + table->value_size;
}

static inline int ft_table_init(struct ft_table *table, ft_u32 key_size, ft_u32 value_size)
{
	table->key_size = key_size;
	table->value_size = value_size;
	table->items.size = (value_size + key_size + 7) & ~7u;
	if (table->items.size <= FT_LINE)
		table->items.size = FT_LINE;
	table->slots = ft_acquire(FT_FIRST_SLOTS * sizeof(*table->slots));
	table->mask = FT_FIRST_SLOTS - 1;
	return table->slots ? 0 : -1;
}

static inline void ft_slots_free(ft_u32 *slots, ft_u32 mask)
{
	ft_release(slots, ((size_t)mask + 1) * sizeof(*slots));
}

static inline void ft_table_free(struct ft_table *table)
{
	ft_pool_free(&table->items);
	ft_slots_free(table->slots, table->mask);
	ft_slots_free(table->old, table->old_mask);
}

/* Of a key of a multiple of four bytes. */
static inline ft_u32 ft_hash(const void *key, ft_u32 size)
{
	const ft_u8 *at = key;
	ft_u64 hash = 0x9e3779b97f4a7c15ull;
	ft_u64 word;
	ft_u32 rest = 0;

	for (; size >= 8; size -= 8, at += 8) {
		memcpy(&word, at, 8);
		hash = (hash ^ word) * 0xff51afd7ed558ccdull;
		hash ^= hash >> 32;
	}
	if (size)
		memcpy(&rest, at, 4);
	hash = (hash ^ rest) * 0xc4ceb9fe1a85ec53ull;
	return (ft_u32)(hash >> 32);
}

static inline ft_u32 ft_table_search(const struct ft_table *table, const ft_u32 *slots, ft_u32 mask,
				     const void *key, ft_u32 hash)
{
	for (ft_u32 at = hash & mask; slots[at] != FT_EMPTY; at = (at + 1) & mask)
		if (slots[at] != FT_MOVED && !memcmp(ft_table_key(table, slots[at]), key, table->key_size))
			return slots[at];
	return 0;
}

/* The number of the item with a key, 0 without. */
static inline ft_u32 ft_table_find(const struct ft_table *table, const void *key, ft_u32 hash)
{
	ft_u32 number = ft_table_search(table, table->slots, table->mask, key, hash);

	if (!number && table->old)
		number = ft_table_search(table, table->old, table->old_mask, key, hash);
	return number;
}

static inline void ft_table_place(ft_u32 *slots, ft_u32 mask, ft_u32 hash, ft_u32 number)
{
	ft_u32 at = hash & mask;

	while (slots[at] != FT_EMPTY)
		at = (at + 1) & mask;
	slots[at] = number;
}

static inline void ft_table_move(struct ft_table *table)
{
	for (ft_u32 i = 0; i < FT_MOVED_AT_ONCE; i++, table->moved++) {
		ft_u32 number;

		if (table->moved > table->old_mask) {
			ft_slots_free(table->old, table->old_mask);
			table->old = NULL;
			return;
		}
		number = table->old[table->moved];
		if (number == FT_EMPTY || number == FT_MOVED)
			continue;
		table->old[table->moved] = FT_MOVED;
		ft_table_place(table->slots, table->mask,
			       ft_hash(ft_table_key(table, number), table->key_size), number);
	}
}

/* Add a key that is not there. The number of its zeroed value, 0 without memory. */
static inline ft_u32 ft_table_add(struct ft_table *table, const void *key)
{
	ft_u32 number;

	if (table->old)
		ft_table_move(table);
	if (!table->old && table->count * 2 > table->mask) {
		ft_u32 *slots = ft_acquire(((size_t)table->mask + 1) * 2 * sizeof(*slots));

		if (!slots)
			return 0;
		table->old = table->slots;
		table->old_mask = table->mask;
		table->moved = 0;
		table->slots = slots;
		table->mask = table->mask * 2 + 1;
	}
	number = ft_pool_take(&table->items);
	if (!number)
		return 0;
	memcpy((ft_u8 *)ft_table_value(table, number) + table->value_size, key, table->key_size);
	ft_table_place(table->slots, table->mask, ft_hash(key, table->key_size), number);
	table->count++;
	return number;
}

/* Close the gap at `at`: what was displaced past it moves back (Knuth, TAOCP 6.4, algorithm R). */
static inline void ft_table_close(struct ft_table *table, ft_u32 at)
{
	ft_u32 *slots = table->slots, mask = table->mask, gap = at;

	for (at = (at + 1) & mask; slots[at] != FT_EMPTY; at = (at + 1) & mask) {
		ft_u32 home = ft_hash(ft_table_key(table, slots[at]), table->key_size) & mask;

		if (((at - home) & mask) >= ((at - gap) & mask)) {
			slots[gap] = slots[at];
			gap = at;
		}
	}
	slots[gap] = FT_EMPTY;
}

static inline int ft_table_remove(struct ft_table *table, ft_u32 number)
{
	ft_u32 hash = ft_hash(ft_table_key(table, number), table->key_size);
	ft_u32 at;

	table->count--;
	for (at = hash & table->mask; table->slots[at] != FT_EMPTY; at = (at + 1) & table->mask)
		if (table->slots[at] == number) {
			ft_table_close(table, at);
			return ft_pool_give(&table->items, number);
		}
	for (at = hash & table->old_mask; table->old && table->old[at] != FT_EMPTY; at = (at + 1) & table->old_mask)
		if (table->old[at] == number) {
			table->old[at] = FT_MOVED;
			break;
		}
	return ft_pool_give(&table->items, number);
}

#endif
