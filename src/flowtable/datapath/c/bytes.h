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

#define ft_copy(to, from, size) __builtin_memcpy(to, from, size)
#define ft_zero(to, size) __builtin_memset(to, 0, size)

static FT_INLINE ft_u16 ft_load16(const ft_u8 *at)
{
	return (ft_u16)(at[0] << 8 | at[1]);
}

static FT_INLINE void ft_store16(ft_u8 *at, ft_u16 value)
{
	at[0] = (ft_u8)(value >> 8);
	at[1] = (ft_u8)value;
}

/* Whether two MAC addresses are the same. */
static FT_INLINE int ft_same_mac(const ft_u8 *one, const ft_u8 *other)
{
	ft_u8 differs = 0;

	FT_UNROLL
	for (int i = 0; i < 6; i++)
		differs |= one[i] ^ other[i];
	return !differs;
}

#endif
