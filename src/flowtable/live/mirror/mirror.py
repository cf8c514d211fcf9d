"""The mirror of a Linux host: dumps and notifications of rtnetlink into a topology."""

from __future__ import annotations

import socket
from struct import Struct
from typing import TYPE_CHECKING, Final, Self

from flowtable.live.mirror import address, link, neighbour, route, rule, station, vlan
from flowtable.live.mirror.address import AddressTable
from flowtable.live.mirror.choice import KernelChoice
from flowtable.live.mirror.links import LinkTable
from flowtable.live.mirror.neighbour import NeighbourTable
from flowtable.live.mirror.routes import RouteTable
from flowtable.live.mirror.rtnetlink import AF_BRIDGE, AF_INET, AF_INET6, AF_UNSPEC, Group, Type
from flowtable.live.mirror.rule import RuleTable
from flowtable.live.mirror.station import StationTable
from flowtable.live.mirror.sysctl import SysctlMirror
from flowtable.live.mirror.vlan import BridgeVlans
from flowtable.netlink.attribute import attribute, packed
from flowtable.netlink.message import NetlinkError
from flowtable.netlink.socket import NetlinkSocket, OverrunError
from flowtable.packet.packet import IPV4, IPV6
from flowtable.topology.mirrored import MirroredTopology

if TYPE_CHECKING:
    from types import TracebackType

    from flowtable.netlink.message import Message

MOST: Final = 1000
"""Datagrams that one call of ``read`` takes, so that others get their turn."""
_FAMILIES: Final = {AF_INET: IPV4, AF_INET6: IPV6}
_IFLA_EXT_MASK: Final = 29
_VLANS_COMPRESSED: Final = 1 << 2
_IFINFO: Final = Struct("=BxHiII")
_NDMSG: Final = Struct("=BxxxiHBB")
_RTMSG: Final = Struct("=BBBBBBBBI")
_IFADDR: Final = Struct("=BBBBi")


class Mirror:
    """A topology that is what the network namespace of the process is, and stays so.

    Attributes:
        topology: the host. Nobody else changes it.
        overruns: how often notifications were lost, and all was read anew.
    """

    def __init__(self) -> None:
        """Read the host.

        Raises:
            OSError: it has no rtnetlink.
        """
        self.topology = MirroredTopology()
        self.overruns = 0
        self._links = LinkTable(
            self.topology,
            arrived=self._arrived,
            departing=self._departing,
            joined=self._joined,
            toggled=self._toggled,
            renamed=self._renamed,
            bridge_changed=self._reread_vlans,
        )
        self._addresses = AddressTable(self.topology)
        self._routes = RouteTable(self.topology)
        self._rules = RuleTable(self.topology)
        self._neighbours = NeighbourTable(self.topology)
        self._stations = StationTable(self.topology)
        self._vlans = BridgeVlans(self.topology)
        self._sysctls = SysctlMirror(self.topology)
        self._notifications = NetlinkSocket(socket.NETLINK_ROUTE, Group)
        self._requests = NetlinkSocket(socket.NETLINK_ROUTE)
        self.topology.fib4.choose = self.topology.fib6.choose = KernelChoice(self._requests)
        self.resynchronise()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets; the topology stays as it is."""
        self._notifications.close()
        self._requests.close()

    def fileno(self) -> int:
        """The file descriptor that is readable when the host has changed."""
        return self._notifications.fileno()

    def read(self) -> None:
        """Let the topology follow what has changed; it does not wait.

        A change is made in the order of the kernel's, and those that follow from it come after it.
        Where notifications were lost, all is read anew.
        """
        try:
            for message in self._notifications.notifications(MOST):
                self._told(message)
        except OverrunError:
            self.overruns += 1
            self._notifications.forget()
            self.resynchronise()

    def resynchronise(self) -> None:
        """Read all anew; what is as it was nobody hears of.

        What has changed meanwhile comes once more as notifications, which does no harm: the last
        word on each object is the newest.
        """
        self._links.replace(filter(None, map(link.parse, self._dump(Type.GETLINK, _IFINFO, AF_UNSPEC))))
        self._reread_vlans()
        self._sysctls.read()
        addresses = self._dump(Type.GETADDR, _IFADDR, AF_UNSPEC)
        self._addresses.replace(filter(None, map(address.parse, addresses)))
        neighbours = self._dump(Type.GETNEIGH, _NDMSG, AF_UNSPEC)
        self._neighbours.replace(filter(None, map(neighbour.parse, neighbours)))
        self._stations.replace(filter(None, map(station.parse, self._dump(Type.GETNEIGH, _NDMSG, AF_BRIDGE))))
        for family, kept in _FAMILIES.items():
            rules = filter(None, map(rule.parse, self._dump(Type.GETRULE, _RTMSG, family)))
            self._rules.replace(kept, rules)
        self.reread_routes()

    def reread_routes(self) -> None:
        """Read the routes anew."""
        bodies = [body for family in _FAMILIES for body in self._dump(Type.GETROUTE, _RTMSG, family)]
        self._routes.replace(record for body in bodies for record in route.parse(body))

    def reread_sysctls(self) -> None:
        """Read the sysctls anew, most of which change without a notification."""
        self._sysctls.read()

    def notes(self) -> list[str]:
        """In words, what of the host the topology does not say, and what flows therefore do not use.

        Devices that are down, as those that come with kinds of tunnels, are of no interest.
        """
        links = [record.note for record in self._links.records.values() if record.note and record.up]
        rules = [record.note for records in self._rules.records.values() for record in records if record.note]
        return [*links, *rules, *self._routes.notes()]

    def _dump(self, kind: Type, header: Struct, family: int, rest: bytes = b"") -> list[bytes]:
        """The bodies of all messages about objects of a kind; none where the kernel has no such objects."""
        empty = (0,) * (len(header.unpack(bytes(header.size))) - 1)
        try:
            answers = self._requests.dump(kind, header.pack(family, *empty) + rest)
        except NetlinkError:
            return []
        return [answer.body for answer in answers]

    def _reread_vlans(self) -> None:
        """Ref: net/bridge/br_vlan.c:__br_vlan_set_default_pvid, which does not tell what it deletes."""
        mask = attribute(_IFLA_EXT_MASK, packed(_VLANS_COMPRESSED))
        bodies = self._dump(Type.GETLINK, _IFINFO, AF_BRIDGE, mask)
        self._vlans.replace(filter(None, map(vlan.parse, bodies)))

    def _told(self, message: Message) -> None:
        """Apply a notification."""
        body = message.body
        if not body:
            return
        match message.type:
            case Type.NEWLINK | Type.DELLINK if body[0] == AF_BRIDGE:
                self._port_told(body, removed=message.type == Type.DELLINK)
            case Type.NEWLINK:
                if (device := link.parse(body)) is not None:
                    self._links.put(device)
            case Type.DELLINK:
                if (device := link.parse(body)) is not None:
                    self._links.drop(device.index)
            case Type.NEWADDR | Type.DELADDR:
                self._address_told(body, removed=message.type == Type.DELADDR)
            case Type.NEWROUTE:
                self._routes.told(route.parse(body), message.flags)
            case Type.DELROUTE:
                for record in route.parse(body):
                    self._routes.drop(record)
            case Type.NEWRULE | Type.DELRULE:
                if (asked := rule.parse(body)) is not None:
                    (self._rules.put if message.type == Type.NEWRULE else self._rules.drop)(asked)
            case Type.NEWNEIGH | Type.DELNEIGH:
                self._neighbour_told(body, removed=message.type == Type.DELNEIGH)
            case Type.NEWNETCONF:
                self._sysctls.told(body)
            case Type.NEWVLAN | Type.DELVLAN:
                for change in vlan.parse_changes(body):
                    self._vlans.told(change, removed=message.type == Type.DELVLAN)
            case Type.NEWNEXTHOP | Type.DELNEXTHOP:
                # Routes through a next hop go with it without a word. Ref: net/ipv4/nexthop.c.
                self.reread_routes()
            case _:
                pass

    def _port_told(self, body: bytes, *, removed: bool) -> None:
        if removed:
            return
        if (told := link.parse_port(body)) is not None:
            self._links.put_port(*told)
        if (vlans := vlan.parse(body)) is not None:
            self._vlans.put(vlans)

    def _address_told(self, body: bytes, *, removed: bool) -> None:
        record = address.parse(body)
        if record is None:
            return
        if not removed:
            self._addresses.put(record)
            if body[0] == AF_INET:
                self._routes.usable(record.index)
            return
        self._addresses.drop(self._addresses.key(record))
        self._routes.source_gone(record.address.address)
        if body[0] == AF_INET and not any(a.address.family == IPV4 for a in self._addresses.on(record.index)):
            self._routes.unusable(record.index, addressless=True)

    def _neighbour_told(self, body: bytes, *, removed: bool) -> None:
        if body[0] == AF_BRIDGE:
            if (entry := station.parse(body)) is not None:
                self._stations.drop(self._stations.key(entry)) if removed else self._stations.put(entry)
        elif (record := neighbour.parse(body)) is not None:
            if removed or record.state is None:
                self._neighbours.drop(self._neighbours.key(record))
            else:
                self._neighbours.put(record)

    def _arrived(self, index: int) -> None:
        self._sysctls.read_device(self.topology.indexes[index].name)
        for table in (self._vlans, self._addresses, self._neighbours, self._stations, self._routes):
            table.arrive(index)

    def _departing(self, index: int) -> None:
        for table in (self._stations, self._neighbours, self._routes, self._addresses, self._vlans):
            table.depart(index)
        self._sysctls.forget(self.topology.indexes[index].name)

    def _joined(self, index: int) -> None:
        for table in (self._vlans, self._stations):
            table.arrive(index)

    def _toggled(self, index: int) -> None:
        if self.topology.indexes[index].up:
            self._routes.usable(index)
        else:
            self._routes.unusable(index)

    def _renamed(self, old: str, new: str) -> None:
        self._sysctls.renamed(old, new)
