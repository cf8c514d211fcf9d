"""Whatever happens to a service or around it, packets are forwarded as the rules say."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from flowtable.live.client import Client
from flowtable.live.control import AskFlows, Flush, Reload
from tests.live.detach import detach
from tests.live.world import Exchange, Line, Service, World, require_root

SIZE = 1 << 20
RULES = """
table inet x {
    flowtable f { hook ingress priority 0; devices = { lan, wan }; }
    chain forward {
        type filter hook forward priority 0; policy drop;
        meta l4proto { tcp, udp } flow add @f
        counter accept
    }
}
"""
NOTHING = """
table inet x {
    chain forward { type filter hook forward priority 0; policy drop; }
}
"""


@pytest.fixture
def line(tmp_path):
    require_root()
    with World(tmp_path) as world:
        yield Line(world)


def connect(line: Line) -> Exchange:
    return Exchange(line.client, line.server, "10.0.2.99", size=SIZE)


def test_a_killed_service_leaves_connections_alone_and_the_next_takes_them_over(line):
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
    service.kill()
    exchange.run()
    assert "xdp" not in line.router.run("ip", "link", "show", "lan")
    again = line.world.up(line.router, RULES)
    assert line.router.run("nft", "list", "ruleset").count("chain forward") == 1
    with again.events() as events:
        exchange.run()
        events.until("added")
    exchange.run()
    (flow,) = again.ask(AskFlows())
    assert flow.original.packets > 0
    again.stop()
    assert line.router.run("nft", "list", "ruleset") == ""


def test_a_service_that_ends_puts_back_what_was_there(line):
    line.router.run("nft", "add table inet x; add chain inet x mine; add table ip other")
    before = line.router.run("nft", "list", "ruleset")
    service = line.world.up(line.router, "flush ruleset\n" + RULES)
    assert "chain mine" not in line.router.run("nft", "list", "ruleset")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0
    assert line.router.run("nft", "list", "ruleset") == before


def test_rules_that_are_kept_stay_and_connections_with_them(line):
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
    service.stop(keep_rules=True)
    exchange.run()
    assert "chain forward" in line.router.run("nft", "list", "ruleset")


def test_a_flushed_connection_table_costs_nothing_but_the_flows(line):
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        line.router.run("conntrack", "-F")
        events.until("ended", "CONNECTION")
        exchange.run()
        events.until("added")
        exchange.run()


def test_a_device_that_goes_takes_its_flows_along_and_comes_back(line):
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        line.router.ip("link set lan down")
        events.until("ended", "DEVICE")
        line.router.ip("link set lan up")
        exchange.run()
        events.until("added")
        exchange.close()
        line.router.ip("link delete lan")
        line.world.link(line.client, "eth0", line.router, "lan")
        line.router.ip("address add 10.0.1.1/24 dev lan")
        line.client.ip("address add 10.0.1.99/24 dev eth0")
        line.client.ip("route add default via 10.0.1.1")
        again = Exchange(line.client, line.server, "10.0.2.99", size=SIZE, port=5001)
        events.until("added")
        again.run()
    (lan, wan) = service.status.devices
    assert lan.where == wan.where == "xdp native"


def test_rules_that_somebody_replaces_hold_at_once(line):
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        line.router.run("nft", "-f", "-", text="flush ruleset\n" + NOTHING)
        events.until("ended")
    forwarded = service.status.packets
    exchange.begin()
    line.router.run("sh", "-c", "nft list chain inet x forward")
    assert not service.ask(AskFlows())
    assert [each for each in service.status.packets if each.name == "FORWARDED"] == [
        each for each in forwarded if each.name == "FORWARDED"
    ]
    assert any("not ours any more" in trouble for trouble in service.status.troubles)
    service.stop()
    assert "policy drop" in line.router.run("nft", "list", "ruleset"), "it is theirs"


def test_a_rule_that_somebody_adds_holds_for_flows_that_are_there(line):
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        connect(line)
        events.until("added")
        other = Exchange(line.client, line.server, "10.0.2.99", size=SIZE, port=5001)
        events.until("added")
        line.router.run("nft", "insert rule inet x forward tcp dport 5000 drop")
        events.until("ended", "RULES")
        (kept,) = service.ask(AskFlows())
        assert kept.original.arrives.dport == 5001
        other.run()


def test_reload_takes_over_the_file_and_a_wrong_one_changes_nothing(line, tmp_path):
    service = line.world.up(line.router, RULES)
    other = tmp_path / "other.nft"
    other.write_text(RULES.replace("{ tcp, udp }", "udp"))
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        (ended,) = service.ask(Reload(str(other)))
        assert (ended.reason, ended.original.dport) == ("RULES", 5000)
    exchange.run()
    assert not service.ask(AskFlows())
    other.write_text("table inet x { nonsense }")
    done = subprocess.run(
        line.router.command(sys.executable, "-m", "flowtable", "reload", "-f", str(other)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{other}:1:16-23: Error: syntax error")
    assert "meta l4proto 17" in line.router.run("nft", "-n", "list", "ruleset")


def test_reload_leaves_flows_alone_that_the_rules_want_as_before(line, tmp_path):
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        exchange.run()
        before = flow_bytes(service)
        assert service.ask(Reload()) == []
        assert flow_bytes(service) >= before
        exchange.run()
    assert flow_bytes(service) > before + SIZE


def test_a_second_service_says_who_is_there(line):
    service = line.world.up(line.router, RULES)
    done = subprocess.run(
        line.router.command(sys.executable, "-m", "flowtable", "up", "--no-rules"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"process id {service.process.pid} holds this network namespace" in done.stderr


def test_flush_ends_flows_and_packets_bring_them_back(line):
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        (ended,) = service.ask(Flush())
        assert ended.reason == "FLUSH"
        exchange.run()
        events.until("added")


def test_packets_without_checksums_are_nothing_for_xdp(line):
    """As a veth pair passes them on, which would arrive damaged from there."""
    line.client.run("ethtool", "-K", "eth0", "tx", "on")
    service = line.world.up(line.router, RULES, "--xdp", "native")
    with service.events() as events:
        exchange = connect(line)
        assert events.until("refused").reason == "CHECKSUM_OFFLOAD"
        exchange.run()


def test_a_device_that_does_not_send_frames_of_others_gets_none_from_xdp(line):
    line.server.run("ethtool", "-K", "eth0", "gro", "off")
    service = line.world.up(line.router, RULES, "--xdp", "native")
    with service.events() as events:
        exchange = connect(line)
        assert events.until("refused").reason == "EXIT_DEVICE"
        exchange.run()


@pytest.mark.parametrize(("host", "feature"), [("client", "tx on"), ("server", "gro off")])
def test_what_is_nothing_for_xdp_traffic_control_does(line, host, feature):
    getattr(line, host).run("ethtool", "-K", "eth0", *feature.split())
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        assert "not in XDP" in events.until("trouble").text
        events.until("added")
        exchange.run()
    (flow,) = service.ask(AskFlows())
    assert flow.original.bytes > SIZE / 2
    assert "tc ingress" in {device.where for device in service.status.devices}


@pytest.mark.parametrize("place", ["native", "off"])
def test_a_program_that_somebody_detaches_is_attached_again(line, place):
    service = line.world.up(line.router, RULES, "--xdp", place)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        assert detach(service.process.pid) == 2
        exchange.run()
        assert "somebody detached" in events.until("trouble").text
        assert "somebody detached" in events.until("trouble").text
    before = flow_bytes(service)
    exchange.run()
    assert flow_bytes(service) > before + SIZE


def flow_bytes(service: Service) -> int:
    """Bytes that took the fast path in both directions of the only flow."""
    (flow,) = service.ask(AskFlows())
    return int(flow.original.bytes + flow.reply.bytes)


def test_what_ipsec_has_to_encrypt_does_not_pass_it_by(line):
    policy = "src 10.0.1.0/24 dst 10.0.2.0/24 dir out"
    service = line.world.up(line.router, RULES)
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        exchange.run()
        line.router.ip(f"xfrm policy add {policy} tmpl src 10.0.2.1 dst 10.0.2.99 proto esp mode tunnel")
        events.until("ended", "IPSEC")
        exchange.begin()
        assert events.until("refused").reason == "IPSEC"
        line.router.ip(f"xfrm policy delete {policy}")
        events.until("added")


def test_generic_xdp(line):
    service = line.world.up(line.router, RULES, "--xdp", "generic")
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        exchange.run()
    (flow,) = service.ask(AskFlows())
    assert flow.where == "xdp generic"
    assert flow.original.bytes > SIZE / 2


def test_a_namespace_that_is_deleted_does_not_keep_the_service_from_ending(line):
    service = line.world.up(line.router, RULES)
    subprocess.run(["ip", "netns", "del", line.router.namespace], check=True)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(30) == 0


@pytest.mark.parametrize(("more", "where"), [("", "tc ingress"), (",+net_raw", "xdp native")])
def test_a_few_capabilities_are_enough(line, monkeypatch, tmp_path, more, where):
    few = tmp_path / "python"
    few.write_text(
        f'#!/bin/sh\nexec setpriv --bounding-set=-all,+net_admin,+bpf,+perfmon{more} {sys.executable} "$@"\n'
    )
    few.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(few))
    service = line.world.up(line.router, RULES)
    monkeypatch.undo()
    with service.events() as events:
        exchange = connect(line)
        events.until("added")
        exchange.run()
    assert [device.where for device in service.status.devices] == [where, where]
    service.stop()


def test_a_client_that_only_connects_disturbs_nobody(line):
    service = line.world.up(line.router, RULES)
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as loud:
        silent.connect(str(service.socket))
        loud.connect(str(service.socket))
        loud.sendall(b"\xff\n" * 1000)
        assert service.status.flows == 0
    with Client(service.socket) as client:
        assert list(client.ask(AskFlows())) == []
