/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a frame to the key of its flow, or why it has none.
 *
 * The order of the tests is the kernel's: net/netfilter/nf_flow_table_ip.c:nf_flow_tuple_ip,
 * nf_flow_tuple_ipv6, nf_flow_tuple_encap. Nothing is looked at but what a key needs: neither
 * checksums nor the lengths in the headers.
 */
#ifndef FT_KEY_H
#define FT_KEY_H

#include "bytes.h"
#include "layout.h"

#define FT_ETHERNET 14
#define FT_TAG 4
#define FT_PPPOE 8
#define FT_IPV4_HEADER 20
#define FT_IPV6_HEADER 40

#define FT_ETH_IPV4 0x0800
#define FT_ETH_VLAN 0x8100
#define FT_ETH_IPV6 0x86dd
#define FT_ETH_PPPOE 0x8864
#define FT_ETH_QINQ 0x88a8
#define FT_PPP_IPV4 0x0021
#define FT_PPP_IPV6 0x0057

#define FT_TCP 6
#define FT_UDP 17
#define FT_GRE 47
#define FT_FRAGMENT_HEADER 44

/* What was found on the way to the key. */
struct ft_parsed {
	struct ft_key key;
	struct ft_link_key link;
	ft_u32 largest;   /* of the packets that the frame stands for, where these are many; else 0 */
	ft_u16 network;   /* offset of the IP header */
	ft_u16 transport; /* offset of the transport header */
	ft_u16 payload;   /* bytes in a PPPoE session, by its header */
	ft_u8 family;     /* FT_IPV4 or FT_IPV6 */
	ft_u8 session;    /* whether there is a PPPoE header */
	ft_u8 tags;       /* how many tags there are */
	ft_u8 priorities[FT_ENCAP_MAX]; /* their PCP and DEI, outermost first, in the upper half */
};

static FT_INLINE enum ft_miss ft_parse_link(const ft_u8 *data, const ft_u8 *end, ft_u8 taken,
					    const struct ft_config *config, struct ft_parsed *parsed,
					    ft_u16 *ethertype)
{
	ft_u16 type;
	ft_u8 depth = taken;

	if (data + FT_ETHERNET > end)
		return FT_MISS_TRUNCATED;
	type = ft_load16(data + 12);
	parsed->network = FT_ETHERNET;
	/* What is in front of a tag are tags, so the place of each in the frame is known by its number. */
	FT_UNROLL
	for (int i = 0; i <= FT_ENCAP_MAX; i++) {
		const ft_u8 *header = data + FT_ETHERNET + FT_TAG * i;

		if (type == FT_ETH_IPV4 || type == FT_ETH_IPV6)
			break;
		if (type != FT_ETH_VLAN && type != FT_ETH_QINQ && type != FT_ETH_PPPOE)
			return FT_MISS_NOT_IP;
		if (depth == config->max_encap || depth == FT_ENCAP_MAX)
			return FT_MISS_ENCAPSULATION;
		if (type == FT_ETH_PPPOE) {
			ft_u16 protocol;

			if (header + FT_PPPOE > end)
				return FT_MISS_TRUNCATED;
			parsed->link.encap[depth].id = ft_load16(header + 2);
			parsed->link.encap[depth++].protocol = type;
			parsed->payload = ft_load16(header + 4);
			parsed->session = 1;
			parsed->network = (ft_u16)(FT_ETHERNET + FT_TAG * i + FT_PPPOE);
			protocol = ft_load16(header + 6);
			if (protocol == FT_PPP_IPV4)
				type = FT_ETH_IPV4;
			else if (protocol == FT_PPP_IPV6)
				type = FT_ETH_IPV6;
			else
				return FT_MISS_NOT_IP;
			break;
		}
		if (type == FT_ETH_QINQ && depth && !config->inner_8021ad)
			return FT_MISS_ENCAPSULATION;
		if (header + FT_TAG > end)
			return FT_MISS_TRUNCATED;
		parsed->link.encap[depth].id = ft_load16(header) & config->tci_mask;
		parsed->link.encap[depth].protocol = type;
		parsed->priorities[depth++] = header[0] & 0xf0;
		parsed->network = (ft_u16)(FT_ETHERNET + FT_TAG * (i + 1));
		type = ft_load16(header + 2);
	}
	parsed->link.depth = depth;
	parsed->tags = (ft_u8)(depth - parsed->session);
	*ethertype = type;
	return FT_MISS_NONE;
}

static FT_INLINE enum ft_miss ft_parse_transport(const ft_u8 *transport, const ft_u8 *end, ft_u8 protocol,
						 struct ft_parsed *parsed)
{
	parsed->key.protocol = protocol;
	switch (protocol) {
	case FT_TCP:
		if (transport + 20 > end)
			return FT_MISS_TRUNCATED;
		break;
	case FT_UDP:
		if (transport + 8 > end)
			return FT_MISS_TRUNCATED;
		break;
	default:
		if (transport + 4 > end)
			return FT_MISS_TRUNCATED;
		return transport[1] & 7 ? FT_MISS_GRE_VERSION : FT_MISS_NONE;
	}
	ft_copy(&parsed->key.sport, transport, 4);
	return FT_MISS_NONE;
}

static FT_INLINE int ft_offloadable(ft_u8 protocol, const struct ft_config *config)
{
	return protocol == FT_TCP || protocol == FT_UDP || (protocol == FT_GRE && config->gre);
}

static FT_INLINE enum ft_miss ft_parse_ipv4(const ft_u8 *ip, const ft_u8 *end, const struct ft_config *config,
					    struct ft_parsed *parsed)
{
	if (!config->ipv4)
		return FT_MISS_FAMILY;
	if (ip + FT_IPV4_HEADER > end)
		return FT_MISS_TRUNCATED;
	if (ft_load16(ip + 6) & 0x3fff)
		return FT_MISS_FRAGMENT;
	if ((ip[0] & 15) != 5)
		return FT_MISS_IP_OPTIONS;
	if (!ft_offloadable(ip[9], config))
		return FT_MISS_PROTOCOL;
	if (ip[8] <= 1)
		return FT_MISS_TTL_EXPIRED;
	parsed->family = FT_IPV4;
	parsed->transport = parsed->network + FT_IPV4_HEADER;
	ft_copy(parsed->key.addresses, ip + 12, 8);
	return ft_parse_transport(ip + FT_IPV4_HEADER, end, ip[9], parsed);
}

static FT_INLINE enum ft_miss ft_parse_ipv6(const ft_u8 *ip, const ft_u8 *end, const struct ft_config *config,
					    struct ft_parsed *parsed)
{
	ft_u8 next;

	if (!config->ipv6)
		return FT_MISS_FAMILY;
	if (ip + FT_IPV6_HEADER > end)
		return FT_MISS_TRUNCATED;
	next = ip[6];
	if (next == FT_FRAGMENT_HEADER)
		return FT_MISS_FRAGMENT;
	/* Hop-by-hop options, routing, authentication, destination options: net/ipv6/exthdrs_core.c:ipv6_ext_hdr. */
	if (next == 0 || next == 43 || next == 51 || next == 60)
		return FT_MISS_EXTENSION_HEADER;
	if (!ft_offloadable(next, config))
		return FT_MISS_PROTOCOL;
	if (ip[7] <= 1)
		return FT_MISS_TTL_EXPIRED;
	parsed->family = FT_IPV6;
	parsed->transport = parsed->network + FT_IPV6_HEADER;
	ft_copy(parsed->key.addresses, ip + 8, 32);
	return ft_parse_transport(ip + FT_IPV6_HEADER, end, next, parsed);
}

/* Before a frame is parsed that arrived on the device with index `iif`. */
static FT_INLINE void ft_begin(ft_u32 iif, struct ft_parsed *parsed)
{
	ft_zero(parsed, sizeof(*parsed));
	parsed->link.iif = iif;
	parsed->key.link = iif;
}

/* The key of a frame of which so many tags were `taken` already; `key.link` is for the caller to look up, by
 * `link`, where the frame has any encapsulation, and is the device where it has none. */
static FT_INLINE enum ft_miss ft_parse(const ft_u8 *data, const ft_u8 *end, ft_u8 taken,
				       const struct ft_config *config, struct ft_parsed *parsed)
{
	enum ft_miss miss;
	ft_u16 type = 0;

	miss = ft_parse_link(data, end, taken, config, parsed, &type);
	if (miss != FT_MISS_NONE)
		return miss;
	if (type == FT_ETH_IPV4)
		return ft_parse_ipv4(data + parsed->network, end, config, parsed);
	return ft_parse_ipv6(data + parsed->network, end, config, parsed);
}

#endif
