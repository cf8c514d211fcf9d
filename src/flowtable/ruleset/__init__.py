"""The nftables language: parsing, checking, printing, and evaluation on packets.

Knows rules and what they read from a packet; not where packets come from.
"""
