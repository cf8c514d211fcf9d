"""The flags of tables."""

from __future__ import annotations

from enum import Flag


class TableFlag(Flag):
    """``NFT_TABLE_F_*``; the name in lower case is the keyword.

    Ref: include/uapi/linux/netfilter/nf_tables.h:enum nft_table_flags.
    """

    DORMANT = 0x1
    """Its chains are not attached."""
    OWNER = 0x2
    """Only the process that made it can change it; kept and printed, without a meaning here."""
    PERSIST = 0x4
    """It outlives that process; the same."""


NO_FLAGS = TableFlag(0)


def flag_words(flags: TableFlag) -> list[str]:
    """The keywords, in the order of listings."""
    return [flag.name.lower() for flag in TableFlag if flag in flags and flag.name is not None]
