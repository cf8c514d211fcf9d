/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the fast path needs of a C library, in the kernel and in a process alike. */
#ifndef FT_BYTES_H
#define FT_BYTES_H

typedef unsigned char ft_u8;
typedef unsigned short ft_u16;
typedef unsigned int ft_u32;
typedef unsigned long long ft_u64;

#define FT_INLINE inline __attribute__((always_inline))
#define FT_UNROLL _Pragma("clang loop unroll(full)")

#define ft_zero(to, size) __builtin_memset(to, 0, size)

#ifdef __bpf__
/* The compiler moves byte by byte what it cannot take for aligned. Packets and maps need not be
 * aligned on machines with XDP; the stack has to be, to the width of the access. */
#define ft_at(pointer, alignment) __builtin_assume_aligned(pointer, alignment)
#define ft_load16(at) __builtin_bswap16(*(const ft_u16 *)(at))
#define ft_store16(at, value) (*(ft_u16 *)(at) = __builtin_bswap16(value))
#else
#define ft_at(pointer, alignment) (pointer)

static FT_INLINE ft_u16 ft_load16(const ft_u8 *at)
{
	return (ft_u16)(at[0] << 8 | at[1]);
}

static FT_INLINE void ft_store16(ft_u8 *at, ft_u16 value)
{
	at[0] = (ft_u8)(value >> 8);
	at[1] = (ft_u8)value;
}
#endif

/* Copy from or to the stack, and between packets and maps. */
#define ft_copy(to, from, size) __builtin_memcpy(ft_at(to, 4), ft_at(from, 4), size)
#define ft_copy_out(to, from, size) __builtin_memcpy(ft_at(to, 8), ft_at(from, 8), size)

/* Whether two MAC addresses are the same. */
static FT_INLINE int ft_same_mac(const ft_u8 *one, const ft_u8 *other)
{
	return ft_load16(one) == ft_load16(other) && ft_load16(one + 2) == ft_load16(other + 2) &&
	       ft_load16(one + 4) == ft_load16(other + 4);
}

#endif
