"""``flowtable run``, from files to files."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

from flowtable.capture import Direction, PcapWriter, open_capture
from flowtable.clock import SECOND
from tests.cli.bench import CLIENT, CLIENT_MAC, LAN_MAC, RULESET, SERVER, START, WAN, WAN_MAC, Talk, tcp, udp


@pytest.fixture
def talk():
    talk = Talk()
    tcp(talk, 5)
    return talk


def frames(data: bytes, interface: str | None = None) -> list[tuple[str, bytes, int, Direction]]:
    capture = open_capture(io.BytesIO(data), "out", interface)
    return [(record.interface, record.data, record.time, record.direction) for record in capture]


def report(desk, *arguments: str) -> dict[str, Any]:
    result = desk.run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_frames_leave_on_their_devices_translated(desk, talk):
    desk.capture(talk.packets)
    assert desk.run("input.pcapng", "--out", "out.pcapng").exit_code == 0
    sent = frames((desk.folder / "out.pcapng").read_bytes())
    assert [(device, time) for device, _, time, _ in sent] == [
        ("wan0" if interface == "lan0" else "lan0", time) for interface, _, time, _ in talk.packets
    ]
    assert {direction for *_, direction in sent} == {Direction.OUT}
    for device, data, _, _ in sent:
        packet = Ether(data)
        ends = (packet[IP].src, packet[IP].dst)
        assert ends == ((WAN, SERVER) if device == "wan0" else (SERVER, CLIENT))
        assert packet.src == (WAN_MAC if device == "wan0" else LAN_MAC)
        assert packet[IP].ttl == 63


def test_pcap_by_its_name(desk, talk):
    desk.capture(talk.packets)
    assert desk.run("input.pcapng", "--out", "out.pcap", "-q").exit_code == 0
    assert desk.run("input.pcapng", "--out", "out.pcapng", "-q").exit_code == 0
    plain = frames((desk.folder / "out.pcap").read_bytes(), "any")
    named = frames((desk.folder / "out.pcapng").read_bytes())
    assert [each[1:3] for each in plain] == [each[1:3] for each in named]


def test_the_same_run_gives_the_same_bytes(desk, talk):
    udp(talk, 10)
    desk.capture(talk.packets)
    results = ["out.pcapng", "conntrack", "flows", "rules"]
    runs = []
    for _ in range(2):
        result = desk.run(
            "input.pcapng", "--out", results[0], "--conntrack", results[1], "--flows", results[2],
            "--ruleset-out", results[3],
        )  # fmt: skip
        runs.append([result.stdout.encode(), *((desk.folder / name).read_bytes() for name in results)])
    assert runs[0] == runs[1]
    assert all(runs[0])


def test_conntrack_listing(desk, talk):
    udp(talk, 3)
    desk.capture(talk.packets)
    result = desk.run("input.pcapng", "--conntrack", "-", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(result.stdout.splitlines()) == [
        "tcp      6 src=10.0.1.99 dst=10.0.2.99 sport=40000 dport=443 packets=7 bytes=784"
        " src=10.0.2.99 dst=10.0.2.1 sport=443 dport=40000 packets=6 bytes=244 [OFFLOAD] mark=0 use=2",
        "udp      17 src=10.0.1.99 dst=10.0.2.99 sport=5000 dport=53 packets=3 bytes=144"
        " src=10.0.2.99 dst=10.0.2.1 sport=53 dport=5000 packets=3 bytes=144 [OFFLOAD] mark=0 use=2",
    ]


def test_flow_listing(desk, talk):
    udp(talk, 3)
    desk.capture(talk.packets)
    result = desk.run("input.pcapng", "--flows", "-", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "tcp      6 29 ESTABLISHED"
        " iif=lan0 src=10.0.1.99 dst=10.0.2.99 sport=40000 dport=443 oif=wan0 packets=5 bytes=700"
        " iif=wan0 src=10.0.2.99 dst=10.0.2.1 sport=443 dport=40000 oif=lan0 packets=5 bytes=200"
        " [SNAT] flowtable=f age=0.016 idle=0.006",
        "udp      17 30"
        " iif=lan0 src=10.0.1.99 dst=10.0.2.99 sport=5000 dport=53 oif=wan0 packets=2 bytes=96"
        " iif=wan0 src=10.0.2.99 dst=10.0.2.1 sport=53 dport=5000 oif=lan0 packets=2 bytes=96"
        " [SNAT] flowtable=f age=0.004 idle=0.000",
    ]


def test_flow_listing_with_those_that_ended(desk):
    talk = Talk()
    tcp(talk, 2, close=True)
    talk.wait(40 * SECOND)
    udp(talk, 2)
    talk.wait(40 * SECOND)
    talk.out(TCP(sport=40001, dport=443, flags="S"))
    desk.capture(talk.packets)
    assert desk.run("input.pcapng", "--flows", "-", "-q").stdout == ""
    lines = desk.run("input.pcapng", "--flows", "-", "--ended", "-q").stdout.splitlines()
    assert [(line.split(" iif")[0], line.split("[ENDED] ")[1]) for line in lines] == [
        ("tcp      6 ESTABLISHED", "flowtable=f age=0.005 idle=0.001 reason=FIN"),
        ("udp      17", "flowtable=f age=30.989 idle=30.987 reason=IDLE"),
    ]


def test_settle_lets_timers_run_on(desk, talk):
    desk.capture(talk.packets)
    assert "[OFFLOAD]" in desk.run("input.pcapng", "--conntrack", "-", "-q").stdout
    settled = desk.run("input.pcapng", "--conntrack", "-", "-q", "--settle", "31.5").stdout
    assert settled.startswith("tcp      6 431968 ESTABLISHED src=10.0.1.99 ")
    assert "[ASSURED] mark=0 use=1" in settled
    assert desk.run("input.pcapng", "--flows", "-", "-q", "--settle", "31.5").stdout == ""
    assert desk.run("input.pcapng", "--conntrack", "-", "-q", "--settle", "432001").stdout == ""


def test_ruleset_with_its_counters(desk, talk):
    desk.capture(talk.packets)
    printed = desk.run("input.pcapng", "--ruleset-out", "-", "-q").stdout
    assert "\t\tflow add @f counter packets 1 bytes 40\n" in printed
    desk.write("ruleset.nft", printed)
    assert desk.run("input.pcapng", "--ruleset-out", "again", "-q").exit_code == 0


def test_listings_share_standard_output_with_the_summary(desk, talk):
    desk.capture(talk.packets)
    text = desk.run("input.pcapng", "--conntrack", "-", "--flows", "-", "--ruleset-out", "-").stdout
    places = [text.index(each) for each in ("table inet x", "iif=lan0", "[OFFLOAD]", "local process")]
    assert places == sorted(places)


def test_frames_on_standard_output_leave_the_summary_to_standard_error(desk, talk):
    desk.capture(talk.packets)
    result = desk.run("input.pcapng", "--out", "-")
    assert len(frames(result.stdout_bytes)) == len(talk.packets)
    assert "local process" in result.stderr


def test_capture_on_standard_input(desk, talk):
    path = desk.capture(talk.packets)
    plain = report(desk, "input.pcapng")
    result = desk.run("-", "--json", stdin=path.read_bytes())
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {**plain, "inputs": ["-"]}


def test_ruleset_on_standard_input(desk, talk):
    desk.capture(talk.packets)
    command = ("run", "-", "--box", "box.yaml", "input.pcapng", "-q")
    assert desk.command(*command, stdin=RULESET.encode()).exit_code == 0
    result = desk.command(*command, stdin=b"table inet x\n}\n")
    assert result.exit_code == 1
    assert result.stderr.startswith("/dev/stdin:2:1-1: Error: ")


def test_files_that_a_ruleset_includes_lie_beside_it(desk, talk):
    desk.capture(talk.packets)
    (desk.folder / "rules").mkdir()
    desk.write("rules/part.nft", RULESET)
    desk.write("rules/main.nft", 'include "part.nft"\n')
    result = desk.command("run", "rules/main.nft", "--box", "box.yaml", "input.pcapng", "--ruleset-out", "-")
    assert "flow add @f counter packets 1 bytes 40" in result.stdout


def test_one_capture_for_each_device(desk, talk):
    whole = desk.capture(talk.packets)
    split = {}
    for device in ("lan0", "wan0"):
        with (desk.folder / f"{device}.pcap").open("wb") as stream, PcapWriter(stream) as writer:
            for interface, data, time, _ in talk.packets:
                if interface == device:
                    writer.write(time, data)
    split = report(desk, "--in", "lan0=lan0.pcap", "--in", "wan0=wan0.pcap")
    assert split == {**report(desk, whole.name), "inputs": ["lan0.pcap", "wan0.pcap"]}
    assert split["stations"]["transmit"] == len(talk.packets)


def test_the_device_that_is_given_stands_for_the_names_in_the_file(desk, talk):
    renamed = [(f"eth{interface}", *rest) for interface, *rest in talk.packets if interface == "lan0"]
    desk.capture(renamed)
    assert report(desk, "--in", "lan0=input.pcapng")["stations"]["ingress"] == len(renamed)


def test_what_the_box_sent_is_no_input(desk, talk):
    desk.capture(talk.packets)
    plain = report(desk, "input.pcapng")
    frame = Ether(src=WAN_MAC, dst=CLIENT_MAC) / IP(src="10.0.2.1", dst=CLIENT) / UDP(dport=1)
    talk.put("lan0", frame, Direction.UNKNOWN)
    talk.put("wan0", Ether(src=CLIENT_MAC, dst=LAN_MAC) / IP() / UDP(), Direction.OUT)
    talk.put("lo", Ether(src="00:00:00:00:00:00", dst="00:00:00:00:00:00") / IP() / UDP(), Direction.UNKNOWN)
    desk.capture(talk.packets, "more.pcapng")
    more = report(desk, "more.pcapng")
    assert more["records"]["own"] == 3
    assert more["records"]["taken"] == plain["records"]["taken"]
    assert more["stations"] == plain["stations"]
    assert "          3  sent by the box itself\n" in desk.run("more.pcapng").stdout


def test_time_never_goes_back(desk):
    talk = Talk()
    udp(talk, 2)
    first, second, third, fourth = talk.packets
    desk.capture([first, third, second, fourth])
    assert report(desk, "input.pcapng", "--out", "out.pcapng")["records"]["late"] == 1
    times = [time for _, _, time, _ in frames((desk.folder / "out.pcapng").read_bytes())]
    assert times == [first[2], third[2], third[2], fourth[2]]
    assert "1 of them out of order, taken at the time of the one before\n" in desk.run("input.pcapng").stdout


def test_records_that_are_skipped_are_counted(desk, talk):
    path = desk.capture(talk.packets)
    good = report(desk, "input.pcapng")
    data = path.read_bytes()
    # The second packet claims to have been longer on the wire than what was captured.
    at = data.index(talk.packets[1][1])
    path.write_bytes(data[: at - 4] + (1500).to_bytes(4, "little") + data[at:])
    bad = report(desk, "input.pcapng")
    assert bad["records"]["read"] == good["records"]["read"]
    assert bad["records"]["taken"] == good["records"]["taken"] - 1
    assert bad["records"]["skipped"] == [
        {"reason": "TRUNCATED", "count": 1, "text": "captured shorter than it was on the wire"}
    ]
    assert "          1  captured shorter than it was on the wire\n" in desk.run("input.pcapng").stdout


def test_profiles(desk, talk):
    desk.capture(talk.packets)
    assert report(desk, "input.pcapng")["fast_path"]["hits"] == 10
    early = report(desk, "input.pcapng", "--profile", "linux-5.13")
    assert early["profile"] == "linux-5.13"
    assert early["fast_path"] == {"hits": 11, "forwarded": 13, "hit_rate": 11 / 13}


def test_a_capture_without_packets(desk):
    desk.capture([])
    result = desk.run("input.pcapng", "--conntrack", "-", "--flows", "-")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "fast path: 0 of 0 forwarded TCP/UDP/GRE packets (0.0%), 0 flows offloaded" in result.stdout
    assert report(desk, "input.pcapng")["time"] == {"first": None, "last": None}


def test_nothing_is_printed_when_quiet(desk, talk):
    desk.capture(talk.packets)
    result = desk.run("input.pcapng", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_document(desk, talk):
    talk.put("lan0", Ether(src=CLIENT_MAC) / ARP(psrc=CLIENT, pdst="10.0.1.1"))
    desk.capture(talk.packets)
    document = report(desk, "input.pcapng")
    assert document["ruleset"] == "ruleset.nft"
    assert document["box"] == "box.yaml"
    assert document["inputs"] == ["input.pcapng"]
    assert document["errors"] == []
    assert document["time"] == {"first": START, "last": START + 13_000_000}
    assert document["records"] == {"read": 14, "taken": 14, "own": 0, "late": 0, "skipped": []}
    assert document["stations"]["ingress"] == 14
    assert document["offloaded"] == 1
    assert document["misses"] == [
        {
            "reason": "NO_ENTRY",
            "count": 3,
            "text": "no flow with this key",
            "effect": "classic path, unchanged; a flow add rule may install the flow",
            "ref": "net/netfilter/nf_flow_table_core.c:flow_offload_lookup",
        },
        {
            "reason": "NOT_IP",
            "count": 1,
            "text": "neither IPv4 nor IPv6",
            "effect": "classic path, unchanged; no flow is looked up",
            "ref": "net/netfilter/nf_flow_table_inet.c:nf_flow_offload_inet_hook",
        },
    ]
    assert [(each["reason"], each["count"]) for each in document["refusals"]] == [("NOT_ESTABLISHED", 2)]
    assert document["drops"] == []
    assert document["teardowns"] == []


def test_summary(desk):
    talk = Talk()
    tcp(talk, 20, close=True)
    udp(talk, 20)
    talk.out(TCP(sport=40001, dport=443, flags="S"))
    talk.put("lan0", Ether(src=CLIENT_MAC, dst=LAN_MAC) / IP(src=CLIENT, dst="10.0.1.1") / ICMP() / b"ping")
    talk.put("lan0", Ether(src=CLIENT_MAC, dst=LAN_MAC) / IP(src=CLIENT, dst="192.0.2.1") / UDP(dport=9))
    desk.capture(talk.packets)
    result = desk.run("input.pcapng")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == SUMMARY


SUMMARY = """\
89 packets in 0.088 s of capture, profile default

                             local process
                             ^     1     |
                           input      output
                             1           2
                             |           v
ingress --> prerouting --> routing decision --> forward --> postrouting --> egress --> transmit
  89            11                11               9            11            89          89
   |                                               |                           ^
flowtable --hit----------- fast path bypass -------|---------------------------'
  89                              78               |
   '--miss--> 11 (the line above)                  '-- flow add: 2 flows

fast path: 78 of 87 forwarded TCP/UDP/GRE packets (89.7%), 2 flows offloaded

packets that the flowtable let up the classic path:
          9  no flow with this key
          1  neither TCP, UDP nor GRE
          1  TCP FIN or RST

packets that flow add did not offload:
          4  TCP connection not in state ESTABLISHED
          2  TCP FIN or RST
          1  first packet of the connection

packets that were dropped:
          1  no route to the destination

flows that ended:
          1  TCP FIN
"""
