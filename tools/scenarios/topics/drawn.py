"""Traffic that was drawn at random: mostly sane, sometimes not at all.

The hosts answered what came out of a real router, so no description could make the same packets: what
came into the router is in the scenarios' own ``input.pcapng``. TCP is one connection whose ends are
not to be trusted; mixed traffic is many short connections, answers to them, and ICMP errors about
them. Runs end before Linux would have to draw a number of its own.

The rules write the state of each packet into its DSCP.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from flowtable.clock import SECOND
from scenarios.author import CLIENT_MAC, LAN_MAC, SERVER_MAC, WAN_MAC, Scenario, describe
from scenarios.folder import SCENARIOS, START, Folder

_HOSTS: Final = ("50", "51", "52", "77", "98", "99")
_STATES: Final = ("new", "established", "related", "invalid", "untracked")
_MARKED: Final = "\n        ".join(
    f"meta nfproto {family} ct state {state} {header} dscp set {number}"
    for number, state in enumerate(_STATES, 1)
    for family, header in (("ipv4", "ip"), ("ipv6", "ip6"))
)
_FILTER: Final = f"""
table inet t {{
    chain input {{
        type filter hook input priority filter; policy drop;
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        {_MARKED}
    }}
}}
"""
_MASQUERADE: Final = """
table inet n {
    chain post {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan0" masquerade
    }
}
"""
_PORTS: Final = "meta l4proto { 6, 17 }"
_BOTH: Final = f"""
table inet n {{
    chain pre {{
        type nat hook prerouting priority dstnat; policy accept;
        iifname "lan0" meta nfproto ipv4 {_PORTS} th dport 80 dnat ip to 10.0.2.50:8080
        iifname "lan0" meta nfproto ipv4 {_PORTS} th dport 81 dnat ip to 10.0.2.50-10.0.2.52
        iifname "lan0" meta nfproto ipv6 {_PORTS} th dport 80 dnat ip6 to [fd02::50]:8080
        iifname "lan0" meta nfproto ipv6 {_PORTS} th dport 81 dnat ip6 to fd02::50-fd02::52 persistent
        meta l4proto 1 ip daddr 10.0.2.51 dnat ip to 10.0.2.52
    }}
    chain post {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname "wan0" meta nfproto ipv4 meta l4proto != 6 snat ip to 10.0.2.200-10.0.2.209
        oifname "wan0" meta nfproto ipv4 meta l4proto 6 snat ip to 10.0.2.200-10.0.2.205 persistent
        oifname "wan0" meta nfproto ipv6 snat ip6 to fd02::200-fd02::20f
    }}
}}
"""
_RUNS: Final = {
    "tcp-none": (14, "A TCP connection whose ends are not to be trusted", _FILTER),
    "tcp-masquerade": (
        14,
        "A masqueraded TCP connection whose ends are not to be trusted",
        _FILTER + _MASQUERADE,
    ),
    "mixed-none": (7, "Many short connections, answers, and errors about them", _FILTER),
    "mixed-masquerade": (7, "Many short connections behind a masquerading box", _FILTER + _MASQUERADE),
    "mixed-both": (7, "Many short connections with both ends translated", _FILTER + _BOTH),
}


def _box() -> dict[str, object]:
    """A router that knows all hosts."""
    devices, neighbours = [], []
    for number, (name, own, host) in enumerate(
        (("lan0", LAN_MAC, CLIENT_MAC), ("wan0", WAN_MAC, SERVER_MAC)), 1
    ):
        devices.append({"name": name, "mac": own, "addresses": [f"10.0.{number}.1/24", f"fd0{number}::1/64"]})
        hosts4 = [*_HOSTS, *map(str, range(200, 210))]
        hosts6 = [*_HOSTS, *(f"{each:x}" for each in range(0x200, 0x210))]
        addresses = [f"10.0.{number}.{each}" for each in hosts4] + [f"fd0{number}::{each}" for each in hosts6]
        neighbours += [{"address": address, "dev": name, "mac": host} for address in addresses]
    return {
        "devices": devices,
        "routes": [],
        "neighbours": neighbours,
        "sysctls": {
            "net.ipv4.ip_forward": 1,
            "net.ipv6.conf.all.forwarding": 1,
            "net.ipv4.conf.all.send_redirects": 0,
            "net.ipv4.conf.default.send_redirects": 0,
            "net.netfilter.nf_conntrack_acct": 1,
        },
    }


def _as_drawn(name: str, rules: str, s: Scenario) -> None:
    s.box, s.rules = _box(), rules
    for record in Folder(SCENARIOS / "drawn" / name).frames("input.pcapng"):
        s.frames.append((record.interface, (record.time - START) / SECOND, record.data))


for _kind, (_count, _text, _rules) in _RUNS.items():
    for _number in range(1, _count + 1):
        _name = f"{_kind}-{_number}"
        describe("drawn", _name, f"{_text} (run {_number}).", partial(_as_drawn, _name, _rules))
