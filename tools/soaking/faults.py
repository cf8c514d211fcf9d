"""What happens to a service and around it; after each fault connections go on as on the classic path."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from tests.live.world import Line, Service

from flowtable.live.control import Flush, Reload, Request
from soaking.load import DATAGRAMS

PLAIN: Final = 5000
"""Port of connections without translation."""
TRANSLATED: Final = 5001
"""Not masqueraded: Linux ends connections that are when the device goes down."""
RULES: Final = f"""
table inet soak {{
    flowtable f {{ hook ingress priority 0; devices = {{ lan, wan }}; counter; }}
    chain forward {{
        type filter hook forward priority 0; policy drop;
        meta l4proto {{ tcp, udp }} flow add @f
        tcp dport {{ {PLAIN}, {TRANSLATED} }} accept
        tcp sport {PLAIN} accept
        udp dport {DATAGRAMS} accept
        ct state established,related accept
    }}
    chain postrouting {{
        type nat hook postrouting priority 100
        oifname wan tcp dport {TRANSLATED} snat ip to 10.0.2.1
    }}
}}
"""
COUNTED: Final = f"""
table inet soak {{
    chain input {{
        type filter hook input priority 0
        udp dport {DATAGRAMS} counter
    }}
}}
"""
GRACE: Final = 20.0
"""Seconds after which what rules forbid must not come through any more: a quarter of one where the
service gets a processor when it wants one."""
QUIET: Final = 0.5
"""Seconds without any of it that count as an end."""


class FaultError(Exception):
    """The service is not as it should be."""


class Soak:
    """A line of hosts with a service in the middle, which is not left alone.

    Attributes:
        line: the hosts.
        service: the service.
        stopped_after: seconds after which what rules forbid had stopped, each time.
    """

    def __init__(self, line: Line, rules: Path, random: Random) -> None:
        self.line = line
        self.stopped_after: list[float] = []
        self._rules = rules
        self._random = random
        self._mac = 0
        rules.write_text(RULES)
        line.server.run("nft", "-f", "-", text=COUNTED)
        self.service = self._begin()

    def start(self) -> None:
        """Have another service."""
        self.service = self._begin()

    def _begin(self) -> Service:
        return Service(self.line.router, "-f", str(self._rules), run=self._rules.parent)

    def faults(self) -> list[tuple[int, Callable[[], None]]]:
        """What may happen, and how often beside the others."""
        return [
            (2, self.killed),
            (1, self.stopped),
            (4, self.flushed),
            (3, self.reloaded),
            (4, self.connections_deleted),
            (4, self.neighbours_flushed),
            (2, self.station_changed),
            (3, self.route_changed),
            (2, self.link_down),
            (2, self.mtu_changed),
            (1, self.renamed),
            (2, self.rules_replaced),
            (4, self.forbid),
            (2, self.many_connections),
        ]

    def _ask(self, request: Request) -> None:
        self.service.ask(request)

    def killed(self) -> None:
        """The service is killed; the next comes a little later."""
        self.service.kill()
        time.sleep(self._random.uniform(0, 2))
        self.start()

    def stopped(self) -> None:
        """The service ends, leaves the rules, and comes back."""
        self.service.stop(keep_rules=True)
        self.start()

    def flushed(self) -> None:
        """All flows end."""
        self._ask(Flush())

    def reloaded(self) -> None:
        """The rules are loaded again."""
        self._ask(Reload())

    def connections_deleted(self) -> None:
        """Connection tracking forgets connections; translated ones would be lost by that on any path."""
        self.line.router.run("conntrack", "-D", "-p", "tcp", "--dport", str(PLAIN), check=False)

    def neighbours_flushed(self) -> None:
        """The router forgets who its neighbours are."""
        self.line.router.ip("neigh flush dev wan")
        self.line.router.ip("neigh flush dev lan")

    def station_changed(self) -> None:
        """The server gets another network card."""
        self._mac = (self._mac + 1) % 200
        self.line.server.ip(f"link set eth0 address 02:00:00:00:99:{self._mac:02x}")
        self.line.router.ip("neigh flush dev wan")

    def route_changed(self) -> None:
        """Another route to the same neighbour, and back."""
        self.line.router.ip("route add 10.0.2.99/32 dev wan mtu 1400")
        time.sleep(self._random.uniform(0, 1))
        self.line.router.ip("route del 10.0.2.99/32 dev wan")

    def link_down(self) -> None:
        """A link goes down for a moment."""
        device = self._random.choice(("lan", "wan"))
        self.line.router.ip(f"link set {device} down")
        time.sleep(self._random.uniform(0, 0.5))
        self.line.router.ip(f"link set {device} up")

    def mtu_changed(self) -> None:
        """A link carries less for a moment."""
        self.line.router.ip("link set wan mtu 1300")
        time.sleep(self._random.uniform(0, 0.5))
        self.line.router.ip("link set wan mtu 1500")

    def renamed(self) -> None:
        """A device is called something else for a moment."""
        for old, new in (("wan", "other"), ("other", "wan")):
            self.line.router.ip(f"link set {old} down")
            self.line.router.ip(f"link set {old} name {new}")
            self.line.router.ip(f"link set {new} up")
            time.sleep(self._random.uniform(0, 0.5))

    def rules_replaced(self) -> None:
        """Others replace our rules by some that allow the same, without a flowtable; then ours come back."""
        plain = re.sub(r" *flowtable f .*\n|.*flow add.*\n", "", RULES)
        self.line.router.run("nft", "-f", "-", text=f"delete table inet soak\n{plain}")
        time.sleep(self._random.uniform(0, 1))
        self._ask(Reload())

    def many_connections(self) -> None:
        """More connections than usual come at once."""
        self.line.client.run(
            "python3",
            "-c",
            "import socket\ns=[socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(300)]\n"
            f"for _ in range(3): [each.sendto(b'x', ('10.0.2.99', {DATAGRAMS})) for each in s]",
        )

    def forbid(self) -> None:
        """Rules forbid what is on the fast path: nothing of it comes through after a moment.

        Raises:
            FaultError: it does.
        """
        router = self.line.router
        router.run("nft", "insert", "rule", "inet", "soak", "forward", "udp", "dport", str(DATAGRAMS), "drop")
        begin = last = time.monotonic()
        arrived = self._arrived()
        while (now := time.monotonic()) < last + QUIET and now < begin + GRACE:
            time.sleep(QUIET / 5)
            before, arrived = arrived, self._arrived()
            if arrived != before:
                last = time.monotonic()
        listing = router.run("nft", "-a", "list", "chain", "inet", "soak", "forward")
        found = re.search(rf"udp dport {DATAGRAMS} drop # handle (\d+)", listing)
        assert found, listing
        router.run("nft", "delete", "rule", "inet", "soak", "forward", "handle", found[1])
        self.stopped_after.append(last - begin)
        if now >= begin + GRACE:
            raise FaultError(f"datagrams that rules forbid still came through after {GRACE} s")

    def _arrived(self) -> int:
        listing = self.line.server.run("nft", "list", "table", "inet", "soak")
        found = re.search(r"counter packets (\d+)", listing)
        assert found, listing
        return int(found[1])
