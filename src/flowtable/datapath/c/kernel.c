/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fast path in the kernel: one object, so that its programs share their tables. */
#include "tc.h"
#include "xdp.h"

char _license[] SEC("license") = "Dual BSD/GPL";
