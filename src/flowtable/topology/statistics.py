"""What a device has carried. Ref: include/uapi/linux/if_link.h:struct rtnl_link_stats64."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LinkStatistics:
    """What ``ip -s link show`` prints of a device.

    Attributes:
        rx_packets: frames received.
        rx_bytes: their lengths, the header of the device's own layer included.
        tx_packets: frames sent.
        tx_bytes: their lengths.
    """

    rx_packets: int = 0
    rx_bytes: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
