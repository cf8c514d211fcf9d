"""Frames for the tests of this folder, built by scapy."""

from __future__ import annotations

from scapy.layers.l2 import Ether

MAC_A = bytes.fromhex("02 00 00 00 00 0a")
MAC_B = bytes.fromhex("02 00 00 00 00 0b")


def ethernet(**fields) -> Ether:
    """An Ethernet header with both addresses; scapy would ask the network for missing ones."""
    return Ether(**{"src": MAC_A.hex(":"), "dst": MAC_B.hex(":"), **fields})
