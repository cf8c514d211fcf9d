"""Real hosts through a router on which the program runs, in network namespaces."""

from __future__ import annotations

import os
import select
import socket
import threading
from errno import EBUSY, EEXIST
from random import Random

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from flowtable.datapath.attach import AttachMode, attach
from flowtable.datapath.bpf import BpfError
from flowtable.datapath.layout import SNAP
from flowtable.datapath.reference import ReferenceDatapath
from flowtable.flows.teardown import Teardown
from flowtable.packet.miss import Miss
from flowtable.packet.packet import TCP, UDP
from flowtable.profile import DEFAULT
from flowtable.ruleset.family import Family
from flowtable.topology.device import Device
from tests.datapath.network import (
    ADDRESSES,
    HOST,
    HOST_MACS,
    MACS,
    WITHIN,
    Network,
    hardware,
    network,
    received,
)
from tests.datapath.twins import frame
from tests.namespace import require

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loading a BPF program takes root")

MODES = list(AttachMode)
XDP = [AttachMode.NATIVE, AttachMode.GENERIC]
PAYLOAD = os.urandom(1 << 20)


@pytest.fixture(autouse=True)
def programs():
    require("nft", "ethtool")


def started(net: Network, mode: AttachMode) -> None:
    with net.router.inside():
        for name in ("lan", "wan"):
            net.datapath.attach(net.device(name), mode)


def ends(net: Network, client: socket.socket, server: socket.socket):
    return client.getsockname()[:2], server.getsockname()[:2]


@pytest.mark.parametrize("masquerade", [False, True])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mode", MODES)
def test_datagrams_take_the_fast_path_both_ways(mode, version, masquerade):
    with (
        network(masquerade=masquerade, offloads=mode is AttachMode.TC) as net,
        net.sockets(UDP, version) as (client, server),
    ):
        started(net, mode)
        entry = net.offload(UDP, *ends(net, client, server))
        before = net.forwarded()
        for size in (1, 100, 1400):
            client.send(PAYLOAD[:size])
            assert server.recv(2000) == PAYLOAD[:size]
            server.send(PAYLOAD[-size:])
            assert client.recv(2000) == PAYLOAD[-size:]
        assert net.forwarded() == before
        net.datapath.stats(entry)
        header = 28 if version == 4 else 48
        assert [way.packets for way in entry.directions] == [3, 3]
        assert [way.bytes for way in entry.directions] == [1501 + 3 * header] * 2
        assert net.statistics()[None] == 6


def transfer(sender: socket.socket, receiver: socket.socket, data: bytes) -> None:
    """All of the data arrives, as it was sent."""
    thread = threading.Thread(target=sender.sendall, args=(data,))
    thread.start()
    received = b""
    while len(received) < len(data):
        received += receiver.recv(1 << 16)
    thread.join()
    assert received == data


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mode", MODES)
def test_a_tcp_connection_ends_with_its_first_fin(mode, version):
    with (
        network(masquerade=True, offloads=mode is AttachMode.TC) as net,
        net.sockets(TCP, version) as (client, server),
    ):
        started(net, mode)
        entry = net.offload(TCP, *ends(net, client, server))
        before = net.forwarded()
        transfer(client, server, PAYLOAD)
        transfer(server, client, PAYLOAD)
        assert net.forwarded() == before
        net.datapath.stats(entry)
        assert min(way.bytes for way in entry.directions) > len(PAYLOAD)
        readable, *_ = select.select([net.datapath], [], [], 0)
        assert not readable

        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        # From the FIN on the classic path has them all, before anybody reads of it.
        transfer(server, client, b"more")
        assert net.forwarded() > before
        select.select([net.datapath], [], [], WITHIN)
        net.datapath.poll(0)
        assert [(ended, reason) for ended, reason, _ in net.ended] == [(entry, Teardown.FIN)]
        assert list(net.flowtable) == []
        server.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        assert net.statistics()[Miss.TCP_CLOSING] == 1


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("mode", MODES)
def test_frames_with_tags_and_sessions_around_packets(mode, version):
    """The wire has them, and of the router only the topology: no classic path would take the frames."""
    with network(encapsulated=True) as net, net.wire("lan") as client, net.wire("wan") as server:
        started(net, mode)
        client_net, server_net = (ADDRESSES[name][version == 6] for name in ("lan", "wan"))
        entry = net.offload(UDP, (f"{client_net}{HOST}", 5000), (f"{server_net}{HOST}", 53))
        reference = ReferenceDatapath(Family.INET, DEFAULT, lambda *_: None)
        reference.install(entry)
        random = Random(1)
        for way, sender, receiver in zip(entry.directions, (client, server), (server, client), strict=True):
            port = way.entrance.port
            for _ in range(40):
                raw = bytes(frame(way.key, port.mac, hardware(HOST_MACS[port.name]), random))
                outcome = reference.process(raw, way.key.iif, 0)
                if not isinstance(outcome, tuple) or len(raw) > 1500:
                    continue
                sender.send(raw)
                device, expected = outcome
                assert received(receiver, device.mac) == expected


@pytest.mark.parametrize("mode", MODES)
def test_samples_of_what_no_packet_socket_sees(mode):
    with network(sample=1) as net, net.sockets(UDP, 4) as (client, server):
        started(net, mode)
        net.offload(UDP, *ends(net, client, server))
        for size in (5, 1000):
            client.send(PAYLOAD[:size])
            assert server.recv(2000) == PAYLOAD[:size]
        short, long = net.datapath.samples()
        for sample, size in ((short, 5), (long, 1000)):
            assert (sample.arrived, sample.left) == (net.device("lan").index, net.device("wan").index)
            assert (sample.length, sample.kept) == (42 + size, min(42 + size, SNAP))
            packet = Ether(bytes(sample.frame[: sample.kept]))
            assert (packet.dst, packet.src, packet.ttl) == (HOST_MACS["wan"], MACS["wan"], 63)
            assert bytes(packet[Raw]) == PAYLOAD[:size][: SNAP - 42]
        assert list(net.datapath.samples()) == []


def ping(net: Network, address: str) -> None:
    """An ICMP echo request from the client is answered."""
    with (
        net.hosts["lan"].inside(),
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw,
    ):
        raw.settimeout(WITHIN)
        raw.sendto(bytes.fromhex("0800f7fd00010001"), (address, 0))
        assert raw.recv(100)[20:22] == b"\0\0"


def test_frames_that_stand_for_many_packets():
    with network(offloads=True) as net, net.sockets(TCP, 4) as (client, server):
        started(net, AttachMode.TC)
        entry = net.offload(TCP, *ends(net, client, server))
        before = net.forwarded()
        transfer(client, server, PAYLOAD)
        net.datapath.stats(entry)
        there = entry.directions[0]
        assert there.bytes > len(PAYLOAD)
        assert there.packets < len(PAYLOAD) / 1448 / 2
        # What they stand for is no longer than this.
        there.mtu = 1000
        with net.router.inside():
            net.datapath.install(entry)
        transfer(client, server, PAYLOAD[:5000])
        assert net.forwarded() > before
        assert net.statistics()[Miss.TOO_BIG] > 0


@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_flow_takes_the_classic_path(mode):
    with network() as net, net.sockets(UDP, 4) as (client, server):
        started(net, mode)
        net.offload(UDP, *ends(net, client, server))
        before = net.forwarded()
        ping(net, server.getsockname()[0])
        assert net.forwarded() == before + 2
        assert net.statistics()[Miss.PROTOCOL] == 2
        with net.sockets(UDP, 4):
            assert net.statistics()[Miss.NO_ENTRY] == 2


def test_frames_for_another_station_are_not_the_routers():
    with network() as net, net.sockets(UDP, 4) as (client, server):
        started(net, AttachMode.NATIVE)
        net.offload(UDP, *ends(net, client, server))
        net.hosts["lan"].ip(["neighbour replace 10.0.1.1 lladdr 02:00:00:00:00:77 dev eth0 nud permanent"])
        client.send(b"not for the router")
        client.send(b"nor is this")
        for _ in range(50):
            if net.statistics().get(Miss.STATION) == 2:
                break
            select.select([], [], [], 0.1)
        assert net.statistics()[Miss.STATION] == 2
        net.topology.set_link(net.device("lan"), mac=bytes.fromhex("020000000077"))
        client.send(b"the router's address changed")
        assert server.recv(100) == b"the router's address changed"


def test_a_device_that_cannot_send_for_others_gets_its_packets_by_the_classic_path():
    with network() as net, net.sockets(UDP, 4) as (client, server):
        net.hosts["wan"].run("ethtool", "-K", "eth0", "gro", "off")
        started(net, AttachMode.NATIVE)
        net.offload(UDP, *ends(net, client, server))
        client.send(b"there")
        assert server.recv(100) == b"there"
        assert net.statistics()[Miss.NO_DEVICE] == 1
        with net.router.inside():
            assert not net.datapath.opens(net.device("wan"))
            net.hosts["wan"].run("ethtool", "-K", "eth0", "gro", "on")
            assert net.datapath.opens(net.device("wan"))
        before = net.forwarded()
        client.send(b"again")
        assert server.recv(100) == b"again"
        assert net.forwarded() == before


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_process_leaves_the_classic_path(mode):
    with network() as net, net.sockets(UDP, 4) as (client, server):
        pair = ends(net, client, server)
        ready, done = os.pipe()
        child = os.fork()
        if child == 0:
            started(net, mode)
            net.offload(UDP, *pair)
            os.write(done, b"ready")
            select.select([], [], [], 60)
            os._exit(1)
        try:
            os.read(ready, 5)
            before = net.forwarded()
            client.send(b"fast")
            assert server.recv(100) == b"fast"
            assert net.forwarded() == before
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(ready)
            os.close(done)
        client.send(b"classic")
        assert server.recv(100) == b"classic"
        assert net.forwarded() == before + 1
        assert "prog" not in net.router.run("ip", "link")


def test_two_programs_on_a_device():
    with network() as net, net.router.inside():
        lan = net.device("lan")
        net.datapath.attach(lan, AttachMode.NATIVE)
        for mode in XDP:
            with pytest.raises(BpfError, match="another program is there") as error:
                attach(net.datapath.tables.program, lan.index, mode)
            assert error.value.errno in (EBUSY, EEXIST)
        net.datapath.attach(lan, AttachMode.GENERIC)
        assert "xdpgeneric" in net.router.run("ip", "link", "show", "lan")
        net.datapath.detach(lan)
        assert "xdp" not in net.router.run("ip", "link", "show", "lan")


def test_the_words_of_a_driver():
    with network() as net, net.router.inside():
        lan = net.device("lan")
        net.router.ip(["link set lan mtu 9000"])
        net.hosts["lan"].ip(["link set eth0 mtu 9000"])
        with pytest.raises(BpfError, match="MTU"):
            net.datapath.attach(lan, AttachMode.NATIVE)
        net.datapath.attach(lan, AttachMode.GENERIC)
        net.router.ip(["link add br0 type bridge"])
        bridge = socket.if_nametoindex("br0")
        with pytest.raises(BpfError, match="native XDP"):
            attach(net.datapath.tables.program, bridge, AttachMode.NATIVE)
        with pytest.raises(BpfError, match="there is no such device"):
            attach(net.datapath.tables.program, 4000, AttachMode.NATIVE)


def test_a_device_with_an_index_out_of_bounds():
    with network() as net, pytest.raises(BpfError, match="index 65536 of far is not below 65536"):
        net.datapath.attach(net.topology.add_device(Device("far", 65536)), AttachMode.GENERIC)


def test_a_device_that_goes_takes_its_attachment_along():
    with network() as net, net.router.inside():
        lan = net.device("lan")
        net.datapath.attach(lan, AttachMode.NATIVE)
        net.router.ip(["link delete lan"])
        net.topology.remove_device(lan)
        assert list(net.datapath.attachments) == []
