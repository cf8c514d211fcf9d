/* Captures by the hundred packets: finding them in memory, picking those that are input, writing them.
 *
 * What is not ordinary (other blocks, packets cut short, times that need a division) is left to
 * Python, which does the same packet by packet: capture/pcapng.py, capture/pcap.py, capture/writer.py.
 */
#include <stdint.h>
#include <string.h>

#define FT_ENHANCED 6u
#define FT_LONGEST_BLOCK (1u << 24)
#define FT_PACKET_FLAGS 2u
#define FT_SECOND 1000000000u

/* How a pcapng interface counts time: a packet's is stamp * multiplier + offset nanoseconds. */
struct ft_interface {
	uint64_t multiplier; /* 0 if its packets are not ordinary */
	int64_t offset;
};

/* Packets in memory; arrays with room for `room` of them. */
struct ft_packets {
	uint32_t *offsets, *lengths, *devices;
	uint64_t *times;
	uint8_t *outgoing;
	uint32_t room, count;
};

uint32_t ft_scan_pcapng(const uint8_t *data, uint32_t size, uint32_t at, int swapped,
			const struct ft_interface *interfaces, uint32_t interface_count, struct ft_packets *found);
uint32_t ft_scan_pcap(const uint8_t *data, uint32_t size, uint32_t at, int swapped, uint32_t unit,
		      struct ft_packets *found);
uint32_t ft_sift(const uint8_t *data, const struct ft_packets *found, uint32_t at, uint64_t last,
		 const uint32_t *devices, const uint8_t *unaddressed, const uint8_t *own, uint32_t own_count,
		 uint64_t *now, uint32_t *counts, struct ft_packets *picked);
uint64_t ft_write_pcapng(const uint8_t *data, const struct ft_packets *packets, const uint32_t *idents,
			 uint8_t *out);
uint64_t ft_write_pcap(const uint8_t *data, const struct ft_packets *packets, uint8_t *out);

static uint16_t ft_get16(const uint8_t *at, int swapped)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return swapped ? __builtin_bswap16(value) : value;
}

static uint32_t ft_get32(const uint8_t *at, int swapped)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return swapped ? __builtin_bswap32(value) : value;
}

static uint8_t *ft_put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static void ft_found(struct ft_packets *found, uint32_t offset, uint32_t length, uint32_t device, uint64_t time,
		     int outgoing)
{
	found->offsets[found->count] = offset;
	found->lengths[found->count] = length;
	found->devices[found->count] = device;
	found->times[found->count] = time;
	found->outgoing[found->count++] = (uint8_t)outgoing;
}

/* Whether the options of a packet say that it went out. */
static int ft_outgoing(const uint8_t *at, const uint8_t *end, int swapped)
{
	while (end - at >= 8) {
		uint32_t code = ft_get16(at, swapped), width = ft_get16(at + 2, swapped);

		if (!code)
			return 0;
		if (code == FT_PACKET_FLAGS && width == 4)
			return (ft_get32(at + 4, swapped) & 3) == 2;
		width = 4 + ((width + 3) & ~3u);
		if ((size_t)(end - at) < width)
			return 0;
		at += width;
	}
	return 0;
}

/* The time of a stamp; -1 if it is before 1970 or does not fit. */
static int ft_time(const struct ft_interface *interface, uint64_t stamp, uint64_t *time)
{
	uint64_t product;

	if (__builtin_mul_overflow(stamp, interface->multiplier, &product))
		return -1;
	if (interface->offset >= 0)
		return __builtin_add_overflow(product, (uint64_t)interface->offset, time) ? -1 : 0;
	/* Of INT64_MIN, too, this is the amount. */
	return __builtin_sub_overflow(product, 0 - (uint64_t)interface->offset, time) ? -1 : 0;
}

/* Take enhanced packet blocks from `at` on, up to the first that is not ordinary or not whole.
 * Where that begins. Ref: draft-ietf-opsawg-pcapng section 4.3. */
uint32_t ft_scan_pcapng(const uint8_t *data, uint32_t size, uint32_t at, int swapped,
			const struct ft_interface *interfaces, uint32_t interface_count, struct ft_packets *found)
{
	while (size - at >= 32 && found->count < found->room) {
		const uint8_t *block = data + at;
		uint32_t length = ft_get32(block + 4, swapped), ident = ft_get32(block + 8, swapped);
		uint32_t captured = ft_get32(block + 20, swapped), original = ft_get32(block + 24, swapped);
		uint32_t padded;
		uint64_t time;

		if (ft_get32(block, swapped) != FT_ENHANCED || length & 3 || length > FT_LONGEST_BLOCK)
			break;
		if (length > size - at || length < 32 || !captured || captured > length - 32 || captured < original)
			break;
		padded = (captured + 3) & ~3u;
		if (padded > length - 32 || ft_get32(block + length - 4, swapped) != length)
			break;
		if (ident >= interface_count || !interfaces[ident].multiplier)
			break;
		time = (uint64_t)ft_get32(block + 12, swapped) << 32 | ft_get32(block + 16, swapped);
		if (ft_time(&interfaces[ident], time, &time))
			break;
		ft_found(found, at + 28, captured, ident, time,
			 ft_outgoing(block + 28 + padded, block + length - 4, swapped));
		at += length;
	}
	return at;
}

/* The same with the packets of a pcap file. `unit` is the nanoseconds in one of their fractions.
 * Ref: draft-ietf-opsawg-pcap. */
uint32_t ft_scan_pcap(const uint8_t *data, uint32_t size, uint32_t at, int swapped, uint32_t unit,
		      struct ft_packets *found)
{
	while (size - at >= 16 && found->count < found->room) {
		const uint8_t *header = data + at;
		uint32_t captured = ft_get32(header + 8, swapped), original = ft_get32(header + 12, swapped);
		uint64_t time;

		if (captured > size - at - 16 || !captured || captured < original)
			break;
		time = (uint64_t)ft_get32(header, swapped) * FT_SECOND;
		ft_found(found, at + 16, captured, 0, time + (uint64_t)ft_get32(header + 4, swapped) * unit, 0);
		at += 16 + captured;
	}
	return at;
}

static int ft_is_own(const uint8_t *source, int unaddressed, const uint8_t *own, uint32_t own_count)
{
	static const uint8_t none[6];

	if (unaddressed && !memcmp(source, none, 6))
		return 1;
	for (uint32_t i = 0; i < own_count; i++)
		if (!memcmp(source, own + (size_t)6 * i, 6))
			return 1;
	return 0;
}

/* Pick the packets from `at` on that are input to a box: not those that it sent itself, as the capture
 * says or their source tells, one of `own_count` addresses. Time does not go back: `now` is the latest.
 * Stops behind those of the time `last`; where. By their places in the capture, `devices` has the indexes of interfaces,
 * and `unaddressed` says which are without addresses. Adds to `counts`: picked, own, late. */
uint32_t ft_sift(const uint8_t *data, const struct ft_packets *found, uint32_t at, uint64_t last,
		 const uint32_t *devices, const uint8_t *unaddressed, const uint8_t *own, uint32_t own_count,
		 uint64_t *now, uint32_t *counts, struct ft_packets *picked)
{
	for (; at < found->count && picked->count < picked->room; at++) {
		const uint8_t *frame = data + found->offsets[at];
		uint32_t device = found->devices[at], length = found->lengths[at];
		uint64_t time = found->times[at];

		if ((time > *now ? time : *now) > last)
			break;
		if (time < *now)
			counts[2]++;
		else
			*now = time;
		if (found->outgoing[at] ||
		    (length >= 12 && ft_is_own(frame + 6, unaddressed[device], own, own_count))) {
			counts[1]++;
			continue;
		}
		counts[0]++;
		picked->offsets[picked->count] = found->offsets[at];
		picked->lengths[picked->count] = length;
		picked->devices[picked->count] = devices[device];
		picked->times[picked->count++] = *now;
	}
	return at;
}

/* Write packets that went out as enhanced packet blocks in the byte order of the machine, which `out` has
 * room for; how many bytes. `idents` are the interfaces by device index. */
uint64_t ft_write_pcapng(const uint8_t *data, const struct ft_packets *packets, const uint32_t *idents,
			 uint8_t *out)
{
	uint8_t *at = out;

	for (uint32_t i = 0; i < packets->count; i++) {
		uint32_t size = packets->lengths[i], padding = -size & 3, length = 32 + size + padding + 12;

		at = ft_put32(at, FT_ENHANCED);
		at = ft_put32(at, length);
		at = ft_put32(at, idents[packets->devices[i]]);
		at = ft_put32(at, (uint32_t)(packets->times[i] >> 32));
		at = ft_put32(at, (uint32_t)packets->times[i]);
		at = ft_put32(at, size);
		at = ft_put32(at, size);
		memcpy(at, data + packets->offsets[i], size);
		at += size;
		memset(at, 0, padding);
		at = ft_put32(at + padding, FT_PACKET_FLAGS | 4 << 16);
		at = ft_put32(at, 2);
		at = ft_put32(at, 0);
		at = ft_put32(at, length);
	}
	return (uint64_t)(at - out);
}

/* Write packets as a pcap file has them, times in nanoseconds; how many bytes. */
uint64_t ft_write_pcap(const uint8_t *data, const struct ft_packets *packets, uint8_t *out)
{
	uint8_t *at = out;

	for (uint32_t i = 0; i < packets->count; i++) {
		uint32_t size = packets->lengths[i];

		at = ft_put32(at, (uint32_t)(packets->times[i] / FT_SECOND));
		at = ft_put32(at, (uint32_t)(packets->times[i] % FT_SECOND));
		at = ft_put32(at, size);
		at = ft_put32(at, size);
		memcpy(at, data + packets->offsets[i], size);
		at += size;
	}
	return (uint64_t)(at - out);
}
