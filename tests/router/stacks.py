"""Boxes of stacked devices on the bench: what they send, in short."""

from __future__ import annotations

from typing import Any

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from tests.lab import Lab, Sent

HOST_A, HOST_B, HOST_C = "02:00:00:00:0a:0a", "02:00:00:00:0b:0b", "02:00:00:00:0c:0c"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def box(*devices: str, **more: Any) -> str:
    """A box file that forwards, of devices and other entries in the words of YAML flow mappings."""
    text = "devices:\n" + "".join(f"  - {{{device}}}\n" for device in devices)
    for title, entries in more.items():
        text += f"{title}:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries)
    return text + "sysctls:\n  net.ipv4.ip_forward: 1\n  net.ipv6.conf.all.forwarding: 1\n"


def lab(*devices: str, rules: str = "", **more: Any) -> Lab:
    """A laboratory with such a box."""
    return Lab(rules, box_file=box(*devices, **more))


def layers(sent: list[Sent]) -> list[tuple[str, list[str]]]:
    """Of each frame the device and the names of its layers."""
    return [(each.device, [layer.__name__ for layer in each.ether.layers()]) for each in sent]


def devices(sent: list[Sent]) -> list[str]:
    """Where frames left."""
    return [each.device for each in sent]


def ping(source: str, destination: str) -> Packet:
    """An echo request."""
    return IP(src=source, dst=destination) / ICMP(id=1, seq=1)


def asks(source: str, target: str, mac: str) -> Packet:
    """A broadcast ARP request."""
    return Ether(src=mac, dst=BROADCAST) / ARP(op=1, hwsrc=mac, psrc=source, pdst=target)


def statistics(lab: Lab, device: str) -> tuple[int, int, int, int]:
    """Packets and bytes received, packets and bytes sent."""
    found = lab.box.topology.devices[device].statistics
    return found.rx_packets, found.rx_bytes, found.tx_packets, found.tx_bytes
