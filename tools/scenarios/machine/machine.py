"""A real box: a network namespace that is what a box file says, its cables in a second one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final, Self

from scenarios.machine import devices as words
from scenarios.machine.namespace import MachineError, Namespace
from scenarios.machine.pppoe import Session
from scenarios.machine.wire import Wire

QUIET: Final = {
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.default.dad_transmits": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
    "net.ipv6.conf.default.addr_gen_mode": 0,
}
"""Linux's defaults, which distributions change, and no chatter of a host that looks for its router."""
_BRIDGE_NETFILTER: Final = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")
_NO_OFFLOADS: Final = ["rx", "off", "tx", "off", "sg", "off", "tso", "off", "gso", "off", "gro", "off"]
_EARLY: Final = (".all.", ".default.")


class Machine:
    """The box, its far ends, and what it can be told to change."""

    def __init__(self, box: dict[str, Any], ruleset: str) -> None:
        """Build the box.

        Args:
            box: the box file.
            ruleset: what nft loads.

        Raises:
            MachineError: the kernel does not have what the box needs.
        """
        self.sessions: list[Session] = []
        self._sockets = ExitStack()
        self.far, self.near = Namespace(), Namespace()
        self.devices: list[dict[str, Any]] = box["devices"]
        self.far.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        stated: dict[str, Any] = box.get("sysctls") or {}
        early = {name: value for name, value in stated.items() if _general(name)}
        for name, value in {**QUIET, **early}.items():
            self.near.sysctl(name, value)
        for name in _BRIDGE_NETFILTER:
            # Only there while br_netfilter is loaded, which sends what is bridged through the rules.
            with suppress(MachineError):
                self.near.sysctl(name, 0)
        self.near.ip(["link set lo up"])
        self.wire = Wire(self.far)
        self.add(self.devices)
        for name in stated.keys() - early.keys():
            self.near.sysctl(name, stated[name])
        for item, family in (("route", words.route_family), ("rule", words.rule_family)):
            for entry in box.get(f"{item}s") or ():
                text = words.route_words(entry) if item == "route" else words.rule_words(entry)
                self.near.run("ip", family(entry), item, "add", *text.split())
        neighbours = box.get("neighbours") or ()
        self.near.ip(f"neighbour replace {words.neighbour_words(entry)}" for entry in neighbours)
        for entry in box.get("fdb") or ():
            self._learn(entry)
        if "ipsec" in box:
            self.near.ip(box["ipsec"])
        for service in box.get("services") or ():
            self._listen(service)
        self.near.run("nft", "-f", "-", text=ruleset)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wire.close()
        self._sockets.close()
        for session in self.sessions:
            session.close()
        for namespace in (self.near, self.far):
            namespace.close()

    def add(self, devices: list[dict[str, Any]]) -> None:
        """Add devices, in their order: each after those that it stands on, slaves before they are up."""
        for device in devices:
            self._add(device)
        self._enslave(devices)
        for device in devices:
            self._up(device)
        ports = [line for device in devices if self._on_bridge(device) for line in words.port(device)]
        if ports:
            # Every port that comes up sets blocked ones forwarding, as long as nobody speaks STP.
            time.sleep(0.2)
            self.near.bridge(ports)

    def _on_bridge(self, device: dict[str, Any]) -> bool:
        bridges = [each["name"] for each in self.devices if words.kind(each) == "bridge"]
        return device.get("master") in bridges

    def _add(self, device: dict[str, Any]) -> None:
        kind, name = words.kind(device), device["name"]
        if kind == "pppoe":
            self._pppoe(device)
        elif kind != "loopback":
            self.near.ip(words.KINDS[kind](device, self.far.path))
        if kind == "ethernet":
            self.near.run("ethtool", "-K", name, *_NO_OFFLOADS)
            self.far.run("ethtool", "-K", name, *_NO_OFFLOADS)
            self.far.ip([f"link set {name} up"])
        if device.get("addrgenmode") == "none":
            self.near.ip([f"link set {name} addrgenmode none"])

    def _pppoe(self, device: dict[str, Any]) -> None:
        self.near.ip(f"link set {name} up" for name in reversed(list(self._below(device))))
        peer = bytes.fromhex(device["peer"].replace(":", ""))
        session = Session(self.near, device["parent"], device["session"], peer)
        self.sessions.append(session)
        self.near.ip([f"link set {session.device} name {device['name']} mtu {device.get('mtu', 1492)}"])

    def _below(self, device: dict[str, Any]) -> Iterator[str]:
        """Names of the devices that one stands on, the nearest first."""
        while "parent" in device:
            device = next(each for each in self.devices if each["name"] == device["parent"])
            yield device["name"]

    def _enslave(self, devices: list[dict[str, Any]]) -> None:
        slaves = [device for device in devices if "master" in device]
        self.near.ip(f"link set {slave['name']} master {slave['master']}" for slave in slaves)
        bridges = {each["name"]: each for each in self.devices if words.kind(each) == "bridge"}
        lines: list[str] = []
        for device in devices:
            owner = bridges.get(device.get("master", device["name"]))
            if owner is not None and owner.get("vlan_filtering"):
                lines += words.vlans(device, owner.get("vlan_default_pvid", 1))
        self.near.bridge(lines)

    def _up(self, device: dict[str, Any]) -> None:
        name = device["name"]
        if device.get("group"):
            self.near.ip([f"link set {name} group {device['group']}"])
        if device.get("up", True):
            self.near.ip([f"link set {name} up"])
        self.near.ip(words.addresses(device))
        if "active" in device:
            self.near.ip([f"link set {name} type bond active_slave {device['active']}"])

    def _learn(self, entry: dict[str, Any]) -> None:
        """``bridge fdb replace``, once the port forwards: it may take a moment to find its carrier."""
        for left in reversed(range(20)):
            try:
                self.near.bridge([f"fdb replace {words.fdb_words(entry)}"])
            except MachineError:
                if not left:
                    raise
                time.sleep(0.1)
            else:
                return

    def _listen(self, service: dict[str, Any]) -> None:
        udp = service["protocol"] == "udp"
        with self.near.inside():
            sock = socket.socket(
                socket.AF_INET6 if ":" in service.get("address", "::") else socket.AF_INET,
                socket.SOCK_DGRAM if udp else socket.SOCK_STREAM,
            )
            self._sockets.enter_context(sock)
            sock.bind((service.get("address", "::"), service["port"]))
            if not udp:
                sock.listen()

    def connections(self) -> list[str]:
        """``conntrack -L`` of both families, sorted."""
        listed = "".join(self.near.run("conntrack", "-L", "-f", family) for family in ("ipv4", "ipv6"))
        return sorted(listed.splitlines())

    def ruleset(self) -> str:
        """``nft list ruleset``."""
        return self.near.run("nft", "list", "ruleset")


def _general(name: str) -> bool:
    """Whether a sysctl is of no device, or of all: it has to be set before there are devices."""
    return any(word in name for word in _EARLY) or not any(word in name for word in (".conf.", ".neigh."))


def cables(devices: Iterable[dict[str, Any]]) -> list[str]:
    """Names of the devices that have a far end."""
    return words.far_ends(devices)
