"""Sysctls that the box obeys, with Linux's defaults.

Values are in the sysctl's own unit: seconds, or milliseconds where its name says so.
Ref: Documentation/networking/ip-sysctl.rst, nf_conntrack-sysctl.rst.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Final

from flowtable.packet.packet import IPV4
from flowtable.topology.error import TopologyError

U32: Final = 2**32 - 1
INT_MAX: Final = 2**31 - 1
_SECONDS: Final = INT_MAX // 1000
"""What a timeout in seconds may be: jiffies of a kernel with HZ=1000 have to hold it."""


@dataclass(frozen=True, slots=True)
class Range:
    """What an integer sysctl takes, both ends included."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


def _sysctl(name: str, default: int, low: int = 0, high: int = INT_MAX) -> int:
    value: int = field(default=default, metadata={"name": name, "range": Range(low, high)})
    return value


def _own(low: int, high: int = INT_MAX) -> int | None:
    """One of a device's own, None where ``default`` counts."""
    value: int | None = field(default=None, metadata={"range": Range(low, high)})
    return value


def _timeout(name: str, default: int) -> int:
    return _sysctl(f"net.netfilter.{name}", default, 0, _SECONDS)


@dataclass(slots=True)
class Ipv4Conf:
    """net.ipv4.conf.DEVICE: None where the box file says nothing. Ref: struct ipv4_devconf."""

    forwarding: int | None = _own(0, 1)
    rp_filter: int | None = _own(0, 2)
    send_redirects: int | None = _own(0, 1)
    accept_local: int | None = _own(0, 1)
    route_localnet: int | None = _own(0, 1)
    arp_ignore: int | None = _own(0, 8)
    arp_announce: int | None = _own(0, 2)
    arp_accept: int | None = _own(0, 2)


@dataclass(slots=True)
class Ipv6Conf:
    """net.ipv6.conf.DEVICE: None where the box file says nothing. Ref: struct ipv6_devconf."""

    forwarding: int | None = _own(0, 1)
    hop_limit: int | None = _own(1, 255)


@dataclass(slots=True)
class NeighConf:
    """net.ipv4.neigh.DEVICE and net.ipv6.neigh.DEVICE. Ref: struct neigh_parms."""

    mcast_solicit: int | None = _own(0)
    ucast_solicit: int | None = _own(0)
    retrans_time_ms: int | None = _own(1)
    unres_qlen: int | None = _own(0)
    base_reachable_time_ms: int | None = _own(1)
    delay_first_probe_time: int | None = _own(0, _SECONDS)
    gc_stale_time: int | None = _own(0, _SECONDS)


@dataclass(frozen=True, slots=True)
class NeighParms:
    """How neighbours of a device are resolved.

    Attributes:
        mcast_solicit: broadcast or multicast solicitations before giving up.
        ucast_solicit: unicast probes before giving up.
        retrans_time_ms: between two solicitations.
        unres_qlen: packets that wait for one neighbour.
        base_reachable_time_ms: how long a confirmation lasts, None for ever: the far ends of
            a capture answer when the capture says, not when the box asks.
        delay_first_probe_time: seconds between first use of a stale neighbour and the probe.
        gc_stale_time: seconds after which an unused stale neighbour may be forgotten.
    """

    mcast_solicit: int
    ucast_solicit: int
    retrans_time_ms: int
    unres_qlen: int
    base_reachable_time_ms: int | None
    delay_first_probe_time: int
    gc_stale_time: int


@dataclass(slots=True)
class Sysctls:
    """The sysctls of a box.

    A field is named after the last component of its sysctl, with ``icmp6_`` and ``ip6frag_``
    where IPv4 and IPv6 have the same name. What a device may have for itself is asked of the
    methods, which combine ``all``, ``default`` and the device's own as the kernel does; ask
    once per device, not per packet.
    """

    ip_default_ttl: int = _sysctl("net.ipv4.ip_default_ttl", 64, 1, 255)
    icmp_ratelimit: int = _sysctl("net.ipv4.icmp_ratelimit", 1000)
    icmp_ratemask: int = _sysctl("net.ipv4.icmp_ratemask", 0x1818, 0, U32)
    icmp_msgs_per_sec: int = _sysctl("net.ipv4.icmp_msgs_per_sec", 1000)
    icmp_msgs_burst: int = _sysctl("net.ipv4.icmp_msgs_burst", 50)
    icmp_echo_ignore_all: int = _sysctl("net.ipv4.icmp_echo_ignore_all", 0, 0, 1)
    icmp_echo_ignore_broadcasts: int = _sysctl("net.ipv4.icmp_echo_ignore_broadcasts", 1, 0, 1)
    icmp_errors_use_inbound_ifaddr: int = _sysctl("net.ipv4.icmp_errors_use_inbound_ifaddr", 0, 0, 1)
    icmp6_ratelimit: int = _sysctl("net.ipv6.icmp.ratelimit", 1000)
    icmp6_echo_ignore_all: int = _sysctl("net.ipv6.icmp.echo_ignore_all", 0, 0, 1)
    ipfrag_time: int = _sysctl("net.ipv4.ipfrag_time", 30, 0, _SECONDS)
    ipfrag_high_thresh: int = _sysctl("net.ipv4.ipfrag_high_thresh", 4194304)
    ipfrag_max_dist: int = _sysctl("net.ipv4.ipfrag_max_dist", 64)
    ip6frag_time: int = _sysctl("net.ipv6.ip6frag_time", 60, 0, _SECONDS)
    ip6frag_high_thresh: int = _sysctl("net.ipv6.ip6frag_high_thresh", 4194304)

    nf_conntrack_max: int = _sysctl("net.netfilter.nf_conntrack_max", 262144)
    nf_conntrack_acct: int = _sysctl("net.netfilter.nf_conntrack_acct", 0, 0, 1)
    nf_conntrack_checksum: int = _sysctl("net.netfilter.nf_conntrack_checksum", 1, 0, 1)
    nf_conntrack_tcp_loose: int = _sysctl("net.netfilter.nf_conntrack_tcp_loose", 1, 0, 1)
    nf_conntrack_tcp_be_liberal: int = _sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", 0, 0, 1)
    nf_conntrack_tcp_ignore_invalid_rst: int = _sysctl(
        "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst", 0, 0, 1
    )
    nf_conntrack_tcp_max_retrans: int = _sysctl("net.netfilter.nf_conntrack_tcp_max_retrans", 3, 0, 255)
    nf_conntrack_tcp_timeout_syn_sent: int = _timeout("nf_conntrack_tcp_timeout_syn_sent", 120)
    nf_conntrack_tcp_timeout_syn_recv: int = _timeout("nf_conntrack_tcp_timeout_syn_recv", 60)
    nf_conntrack_tcp_timeout_established: int = _timeout("nf_conntrack_tcp_timeout_established", 432000)
    nf_conntrack_tcp_timeout_fin_wait: int = _timeout("nf_conntrack_tcp_timeout_fin_wait", 120)
    nf_conntrack_tcp_timeout_close_wait: int = _timeout("nf_conntrack_tcp_timeout_close_wait", 60)
    nf_conntrack_tcp_timeout_last_ack: int = _timeout("nf_conntrack_tcp_timeout_last_ack", 30)
    nf_conntrack_tcp_timeout_time_wait: int = _timeout("nf_conntrack_tcp_timeout_time_wait", 120)
    nf_conntrack_tcp_timeout_close: int = _timeout("nf_conntrack_tcp_timeout_close", 10)
    nf_conntrack_tcp_timeout_max_retrans: int = _timeout("nf_conntrack_tcp_timeout_max_retrans", 300)
    nf_conntrack_tcp_timeout_unacknowledged: int = _timeout("nf_conntrack_tcp_timeout_unacknowledged", 300)
    nf_conntrack_udp_timeout: int = _timeout("nf_conntrack_udp_timeout", 30)
    nf_conntrack_udp_timeout_stream: int = _timeout("nf_conntrack_udp_timeout_stream", 120)
    nf_conntrack_icmp_timeout: int = _timeout("nf_conntrack_icmp_timeout", 30)
    nf_conntrack_icmpv6_timeout: int = _timeout("nf_conntrack_icmpv6_timeout", 30)
    nf_conntrack_gre_timeout: int = _timeout("nf_conntrack_gre_timeout", 30)
    nf_conntrack_gre_timeout_stream: int = _timeout("nf_conntrack_gre_timeout_stream", 180)
    nf_conntrack_sctp_timeout_closed: int = _timeout("nf_conntrack_sctp_timeout_closed", 10)
    nf_conntrack_sctp_timeout_cookie_wait: int = _timeout("nf_conntrack_sctp_timeout_cookie_wait", 3)
    nf_conntrack_sctp_timeout_cookie_echoed: int = _timeout("nf_conntrack_sctp_timeout_cookie_echoed", 3)
    nf_conntrack_sctp_timeout_established: int = _timeout("nf_conntrack_sctp_timeout_established", 210)
    nf_conntrack_sctp_timeout_shutdown_sent: int = _timeout("nf_conntrack_sctp_timeout_shutdown_sent", 3)
    nf_conntrack_sctp_timeout_shutdown_recd: int = _timeout("nf_conntrack_sctp_timeout_shutdown_recd", 3)
    nf_conntrack_sctp_timeout_shutdown_ack_sent: int = _timeout(
        "nf_conntrack_sctp_timeout_shutdown_ack_sent", 3
    )
    nf_conntrack_sctp_timeout_heartbeat_sent: int = _timeout("nf_conntrack_sctp_timeout_heartbeat_sent", 30)
    nf_conntrack_generic_timeout: int = _timeout("nf_conntrack_generic_timeout", 600)
    nf_conntrack_frag6_timeout: int = _timeout("nf_conntrack_frag6_timeout", 60)
    nf_conntrack_frag6_high_thresh: int = _sysctl("net.netfilter.nf_conntrack_frag6_high_thresh", 4194304)
    nf_flowtable_tcp_timeout: int = _timeout("nf_flowtable_tcp_timeout", 30)
    nf_flowtable_udp_timeout: int = _timeout("nf_flowtable_udp_timeout", 30)

    ipv4_conf: dict[str, Ipv4Conf] = field(default_factory=dict)
    """By device name, ``all`` or ``default``."""
    ipv6_conf: dict[str, Ipv6Conf] = field(default_factory=dict)
    ipv4_neigh: dict[str, NeighConf] = field(default_factory=dict)
    """By device name or ``default``."""
    ipv6_neigh: dict[str, NeighConf] = field(default_factory=dict)

    def ip_forward(self, device: str = "all") -> bool:
        """Whether IPv4 packets received on the device are forwarded (IN_DEV_FORWARD).

        ``net.ipv4.ip_forward`` is ``net.ipv4.conf.all.forwarding``; setting it sets every
        device's, so a device has ``all``'s unless it says otherwise.
        """
        return bool(_first(self.ipv4_conf, "forwarding", device, "all", "default"))

    def ip6_forward(self) -> bool:
        """Whether IPv6 packets are forwarded; ``all`` alone decides (ip6_forward)."""
        return bool(_first(self.ipv6_conf, "forwarding", "all"))

    def ip6_router(self, device: str) -> bool:
        """Whether the box is a router to the hosts on the device, and answers to its anycast address."""
        return bool(_first(self.ipv6_conf, "forwarding", device, "all", "default"))

    def hop_limit(self, device: str) -> int:
        """Hop limit of the box's own IPv6 packets on the device."""
        own = _first(self.ipv6_conf, "hop_limit", device, "default")
        return 64 if own is None else own

    def rp_filter(self, device: str) -> int:
        """0 off, 1 strict, 2 loose: the larger of ``all``'s and the device's (IN_DEV_RPFILTER)."""
        return self._largest4("rp_filter", device)

    def arp_ignore(self, device: str) -> int:
        """Which ARP requests get no reply (IN_DEV_ARP_IGNORE)."""
        return self._largest4("arp_ignore", device)

    def arp_announce(self, device: str) -> int:
        """Which source addresses ARP requests may have (IN_DEV_ARP_ANNOUNCE)."""
        return self._largest4("arp_announce", device)

    def arp_accept(self, device: str) -> int:
        """Whether unasked ARP makes new neighbours (IN_DEV_ARP_ACCEPT)."""
        return self._largest4("arp_accept", device)

    def send_redirects(self, device: str) -> bool:
        """Whether ICMP redirects are sent: ``all``'s or the device's (IN_DEV_TX_REDIRECTS)."""
        return bool(self._largest4("send_redirects", device, 1))

    def accept_local(self, device: str) -> bool:
        """Whether packets from the box's own addresses are taken (IN_DEV_ACCEPT_LOCAL)."""
        return bool(self._largest4("accept_local", device))

    def route_localnet(self, device: str) -> bool:
        """Whether 127.0.0.0/8 is routed like any other (IN_DEV_ROUTE_LOCALNET)."""
        return bool(self._largest4("route_localnet", device))

    def neigh(self, family: int, device: str) -> NeighParms:
        """How neighbours of the device are resolved: its own settings, else ``default``'s."""
        table = self.ipv4_neigh if family == IPV4 else self.ipv6_neigh

        def known(name: str, fallback: int) -> int:
            value = _first(table, name, device, "default")
            return fallback if value is None else value

        return NeighParms(
            mcast_solicit=known("mcast_solicit", 3),
            ucast_solicit=known("ucast_solicit", 3),
            retrans_time_ms=known("retrans_time_ms", 1000),
            unres_qlen=known("unres_qlen", 101),
            base_reachable_time_ms=_first(table, "base_reachable_time_ms", device, "default"),
            delay_first_probe_time=known("delay_first_probe_time", 5),
            gc_stale_time=known("gc_stale_time", 60),
        )

    def _largest4(self, name: str, device: str, fallback: int = 0) -> int:
        general = _first(self.ipv4_conf, name, "all")
        own = _first(self.ipv4_conf, name, device, "default")
        return max(fallback if general is None else general, fallback if own is None else own)

    def set(self, name: str, value: int) -> None:
        """Set a sysctl by its name, dotted or with slashes.

        Raises:
            TopologyError: there is no such sysctl, or it takes no such value.
        """
        key = find(name)
        limits = key.limits
        if not limits.low <= value <= limits.high:
            raise TopologyError(f"expected {limits}, got {value}")
        if key.device is None:
            setattr(self, key.attribute, value)
            return
        table, conf = _CONF[key.table]
        setattr(getattr(self, table).setdefault(key.device, conf()), key.attribute, value)

    def forget(self, device: str) -> None:
        """What a device had for itself is no more."""
        for table, _ in _CONF.values():
            getattr(self, table).pop(device, None)

    def rename(self, device: str, name: str) -> None:
        """What a device has for itself it keeps under another name."""
        for table, _ in _CONF.values():
            confs = getattr(self, table)
            if device in confs:
                confs[name] = confs.pop(device)

    def stated(self) -> Iterator[tuple[str, int]]:
        """Names (dotted) and values of all that differ from Linux's defaults."""
        for known in fields(self):
            name = known.metadata.get("name")
            if name is not None and (value := getattr(self, known.name)) != known.default:
                yield name, value
        for prefix, (table, _) in _CONF.items():
            for device, conf in getattr(self, table).items():
                for own in fields(conf):
                    value = getattr(conf, own.name)
                    if value is None:
                        continue
                    name = f"{prefix}.{device.replace('.', '/')}.{own.name}"
                    yield _SHORT.get(name, name), value


@dataclass(frozen=True, slots=True)
class Key:
    """Where a sysctl is kept.

    Attributes:
        attribute: the field's name.
        limits: what it takes.
        table: of a device's own the part before the device (``net.ipv4.conf``), else empty.
        device: a device's name, ``all`` or ``default``; None where there is one for the box.
    """

    attribute: str
    limits: Range
    table: str = ""
    device: str | None = None


_CONF: Final[dict[str, tuple[str, type[Ipv4Conf] | type[Ipv6Conf] | type[NeighConf]]]] = {
    "net.ipv4.conf": ("ipv4_conf", Ipv4Conf),
    "net.ipv6.conf": ("ipv6_conf", Ipv6Conf),
    "net.ipv4.neigh": ("ipv4_neigh", NeighConf),
    "net.ipv6.neigh": ("ipv6_neigh", NeighConf),
}
_SHORT: Final = {"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}
_ALIASES: Final = {short: name for name, short in _SHORT.items()}
_GLOBAL: Final = {
    known.metadata["name"]: Key(known.name, known.metadata["range"])
    for known in fields(Sysctls)
    if "name" in known.metadata
}


def find(name: str) -> Key:
    """Where the sysctl of that name is kept.

    Dots separate, and a slash stands for a dot in a device's name; or slashes separate and
    dots are dots, as sysctl(8) has it.

    Raises:
        TopologyError: there is none.
    """
    dotted = name
    if "/" in name.partition(".")[0]:
        dotted = name.translate({ord("/"): ".", ord("."): "/"})
    dotted = _ALIASES.get(dotted, dotted)
    if dotted in _GLOBAL:
        return _GLOBAL[dotted]
    for prefix, (_, conf) in _CONF.items():
        if not dotted.startswith(prefix + "."):
            continue
        device, _, leaf = dotted[len(prefix) + 1 :].rpartition(".")
        for own in fields(conf):
            if own.name == leaf and device and not (device == "all" and conf is NeighConf):
                return Key(leaf, own.metadata["range"], prefix, device.replace("/", "."))
        raise TopologyError(f"no such sysctl{_hint(leaf, [own.name for own in fields(conf)])}")
    raise TopologyError(f"no such sysctl{_hint(dotted, [*_GLOBAL, *_ALIASES])}")


def general_names() -> Iterator[str]:
    """The names of all sysctls of the box, of ``all`` and of ``default``, dotted."""
    yield from _GLOBAL
    yield from device_names("all")
    yield from device_names("default")


def device_names(device: str) -> Iterator[str]:
    """The names of all sysctls that a device has for itself, dotted."""
    for prefix, (_, conf) in _CONF.items():
        if device != "all" or conf is not NeighConf:
            for own in fields(conf):
                yield f"{prefix}.{device.replace('.', '/')}.{own.name}"


def _hint(wrong: str, known: list[str]) -> str:
    close = get_close_matches(wrong, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _first(table: Mapping[str, Ipv4Conf | Ipv6Conf | NeighConf], attribute: str, *names: str) -> int | None:
    """The first stated value of the devices named."""
    for name in names:
        value: int | None = getattr(table.get(name), attribute, None)
        if value is not None:
            return value
    return None
