"""``flowtable conntrack`` and conntrack itself, side by side on the running kernel."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flowtable.cli import conntrack_options, main
from tests.live.hosts import CLIENT, CLIENT6, SERVER, SERVER6, Host, hosts, in_namespace, sh, sysctl
from tests.namespace import require

RULES = """
table inet t {
  ct helper ftp { type "ftp" protocol tcp; l3proto ip; }
  chain zones {
    type filter hook prerouting priority -300
    udp dport 7000 ct zone set 7
    udp dport 7001 ct original zone set 8
    udp dport 7002 notrack
  }
  chain forward {
    type filter hook forward priority 0
    udp dport 53 ct mark set 0x10
    udp dport 54 ct mark set 0xffffffff
    tcp dport 21 ct helper set "ftp"
    ct state established ct label set 3
    ct state established ct label set 127
    tcp dport 81 ct state new accept
  }
}
table ip nat {
  chain prerouting {
    type nat hook prerouting priority -100
    udp dport 5300 dnat to 10.0.2.99:53
  }
  chain postrouting {
    type nat hook postrouting priority 100
    oifname wan0 udp dport 53 masquerade
    oifname wan0 tcp dport 80 snat to 10.0.2.1:6000
  }
}
"""
LISTINGS = (
    "-L",
    "-L conntrack",
    "--dump",
    "-L -o extended",
    "-L -o extended,id -o ktimestamp",
    "-L -f ipv4",
    "-L -f ipv6 -o id",
    "-L -p tcp",
    "-L -p udp --dport 53",
    "-L -p udp --orig-port-dst 5300",
    "-L -p tcp --sport 4002 --dport 80",
    "-L -p udp --reply-port-src 53",
    "-L -p tcp --reply-port-dst 6000",
    "-L -p tcp --state ESTABLISHED",
    "-L -p tcp --state SYN_SENT",
    "-L -p icmp",
    "-L -p icmp --icmp-type 8",
    "-L -p icmpv6",
    "-L -p 50",
    "-L -p gre",
    "-L -p sctp",
    "-L -p udplite",
    f"-L -s {CLIENT}",
    "-L -s 10.0.1.0/24",
    "-L -s 10.0.0.0/8 -d 10.0.2.0/24",
    f"-L --src {CLIENT} --mask-src 255.255.255.0",
    f"-L -d {SERVER}",
    f"-L -r {SERVER}",
    "-L -q 10.0.2.1",
    f"-L -s {CLIENT6}",
    "-L -s 2001:db8:1::/48",
    f"-L -d {SERVER6} -p udp",
    "-L -m 16",
    "-L -m 0x10",
    "-L -m 0x10/0x30",
    "-L -m 0/1",
    "-L -u ASSURED",
    "-L -u SEEN_REPLY,ASSURED",
    "-L -u FIXED_TIMEOUT",
    "-L -w 7",
    "-L --orig-zone 8",
    "-L --reply-zone 8",
    "-L -p udp -g",
    "-L -g 10.0.2.99",
    "-L -g 10.0.2.99:53",
    "-L -n 10.0.2.1",
    "-L -n 10.0.2.1:6000",
    "-L -p tcp -n",
    "-L -p udp -j",
    "-C",
    f"-G -p udp -s {CLIENT} -d {SERVER} --sport 4000 --dport 53",
    f"-G -p udp -s {CLIENT6} -d {SERVER6} --sport 4000 --dport 53 -o extended",
)


def traffic(client: Host, server: Host) -> list[socket.socket]:
    """Connections of many kinds, in states that last."""
    kept: list[socket.socket] = []

    def udp(source: str, target: str, port: int, *, sport: int = 0, answered: bool = True) -> None:
        here, there = client.udp(source, sport), server.udp(target, port)
        kept.extend((here, there))
        here.sendto(b"question", (target, port))
        _, back = there.recvfrom(100)
        if answered:
            there.sendto(b"answer", back)
            here.recv(100)

    udp(CLIENT, SERVER, 53, sport=4000)
    udp(CLIENT, SERVER, 54)
    udp(CLIENT, SERVER, 7000)
    udp(CLIENT, SERVER, 7001)
    udp(CLIENT, SERVER, 7002)
    udp(CLIENT, SERVER, 55, answered=False)
    udp(CLIENT6, SERVER6, 53, sport=4000)
    dnat = client.udp(CLIENT, 4100)
    dnat.sendto(b"question", ("10.0.1.1", 5300))
    kept[1].recv(100)
    kept.append(dnat)
    for port, source in ((80, 4002), (81, 0), (21, 0)):
        listening = server.server(SERVER, port)
        kept += [listening, client.connect(SERVER, port, source), listening.accept()[0]]
    silent = client.open(socket.AF_INET, socket.SOCK_STREAM)
    silent.setblocking(False)
    silent.connect_ex(("10.0.2.77", 79))
    kept.append(silent)
    client.sh(f"ping -q -c 1 {SERVER}")
    client.sh(f"ping -q -c 1 {SERVER6}")
    for protocol, data in (
        (50, bytes(16)),
        (47, struct.pack(">HH", 0, 0x800) + bytes(20)),
        (132, struct.pack(">HHII", 9000, 9001, 0, 0) + b"\1\0\0\x14" + bytes(16)),
        (136, struct.pack(">HHHH", 9000, 9001, 8, 1)),
    ):
        raw = client.open(socket.AF_INET, socket.SOCK_RAW, protocol)
        raw.sendto(data, (SERVER, 0))
        kept.append(raw)
    return kept


def ours(arguments: str) -> Result:
    return CliRunner().invoke(main, ["conntrack", *shlex.split(arguments)])


def theirs(arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["conntrack", *shlex.split(arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def equal(arguments: str) -> str:
    """The listing that both write; in between a second may pass."""
    for _ in range(10):
        first, mine = theirs(arguments), ours(arguments)
        if mine.stdout == first.stdout:
            break
    assert mine.stdout == first.stdout, arguments
    assert (mine.stderr, mine.exit_code) == (first.stderr, first.returncode), arguments
    return first.stdout


@in_namespace
def test_listings_are_those_of_conntrack() -> None:
    require("nft", "conntrack")
    for name, value in (("acct", 1), ("timestamp", 1), ("checksum", 0)):
        sysctl(f"net.netfilter.nf_conntrack_{name}", value)
    sh("nft -f -", RULES)
    client, server = hosts()
    kept = traffic(client, server)
    everything = ours("-L").stdout
    for word in (
        "udplite",
        "sctp",
        "gre",
        "icmpv6",
        "unknown",
        "helper=ftp",
        "zone=7",
        "zone-orig=8",
        "delta-time",
    ):
        assert word in everything
    empty = [arguments for arguments in LISTINGS if not equal(arguments)]
    assert set(empty) <= {"-L -u FIXED_TIMEOUT", "-L --reply-zone 8"}
    del kept


@in_namespace
def test_labels_have_the_names_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("nft", "conntrack")
    sh("nft -f -", RULES)
    client, server = hosts()
    kept = traffic(client, server)
    names = tmp_path / "connlabel.conf"
    names.write_text("# bits\n3 three\n3 again # not this\n127 last\n")
    monkeypatch.setattr(conntrack_options, "LABELS", names)
    labelled = ours("-L -o labels -p tcp --dport 80").stdout
    assert labelled.endswith(" use=1 labels=three,last\n")
    assert ours("-L -l three,last -p tcp --dport 80 -o labels").stdout == labelled
    assert "53" not in ours("-L -l three -p tcp").stdout
    assert "--label nobody" in ours("-L -l nobody").stderr
    names.write_text("127 last\n")
    assert ours("-L -o labels -p tcp --dport 80").stdout.endswith(" labels=last\n")
    names.write_text("5 other\n")
    assert ours("-L -o labels -p tcp --dport 80").stdout.endswith(" labels\n")
    del kept


@in_namespace
def test_what_is_deleted_is_shown_and_gone() -> None:
    require("nft", "conntrack")
    sh("nft -f -", RULES)
    client, server = hosts()
    kept = traffic(client, server)
    assert " dport=5300 " in ours("-L -j 10.0.2.99").stdout
    by_reply = f"-G -p udp -r {SERVER} -q 10.0.2.1 --reply-port-src 53 --reply-port-dst 4000"
    assert " sport=4000 dport=53 " in ours(by_reply).stdout
    before = equal("-L -p tcp --dport 80 -o id")
    assert ours("-D -p tcp --dport 80 -o id").stdout == before
    assert equal("-L -p tcp --dport 80") == ""
    nothing = ours("-D -p tcp --dport 80")
    assert nothing.exit_code == theirs("-D -p tcp --dport 80").returncode == 1
    assert nothing.stderr == theirs("-D -p tcp --dport 80").stderr
    assert len(ours("-D -w 7").stdout.splitlines()) == 1
    gone = ours(f"-G -p tcp -s {CLIENT} -d {SERVER} --sport 4002 --dport 80")
    same = theirs(f"-G -p tcp -s {CLIENT} -d {SERVER} --sport 4002 --dport 80")
    assert (gone.stdout, gone.stderr, gone.exit_code) == (same.stdout, same.stderr, same.returncode)
    flushed = ours("-F -f ipv6")
    assert (
        flushed.stderr == "conntrack v1.4.7 (conntrack-tools): connection tracking table has been emptied.\n"
    )
    assert equal("-L -f ipv6") == "" and equal("-L -f ipv4") != ""
    ours("-F")
    assert equal("-L -p icmp") == ""
    del kept


@in_namespace
def test_zeroed_counters_and_statistics() -> None:
    require("nft", "conntrack")
    sysctl("net.netfilter.nf_conntrack_acct", 1)
    sh("nft -f -", RULES)
    client, server = hosts()
    kept = traffic(client, server)
    assert " packets=0 bytes=0 " not in ours("-L -p tcp --dport 80").stdout
    ours("-L -z")
    assert ours("-L -p tcp --dport 80").stdout.count(" packets=0 bytes=0 ") == 2
    assert re.sub(r"=\d+", "", ours("-S").stdout) == re.sub(r"=\d+", "", theirs("-S").stdout)
    del kept


@in_namespace
def test_events_are_those_of_conntrack(tmp_path: Path) -> None:
    require("nft", "conntrack")
    for name in ("acct", "timestamp"):
        sysctl(f"net.netfilter.nf_conntrack_{name}", 1)
    sh("nft -f -", RULES)
    client, server = hosts()
    programs: list[tuple[subprocess.Popen[bytes], Path, Path]] = []
    for name, arguments in (("all", "-E -o id,extended"), ("udp", "-E -p udp -e NEW,DESTROY")):
        for program in (["conntrack"], [sys.executable, "-m", "flowtable", "conntrack"]):
            output, errors = (tmp_path / f"{name}-{len(program)}-{file}" for file in ("out", "errors"))
            with output.open("w") as out, errors.open("w") as err:
                command = [*program, *arguments.split()]
                programs.append((subprocess.Popen(command, stdout=out, stderr=err), output, errors))
    until(lambda: listeners() == len(programs))
    kept = traffic(client, server)
    sh("conntrack -D -p udp")
    kept.append(client.udp(CLIENT, 4444))
    kept[-1].sendto(b"the last", (SERVER, 4445))
    until(lambda: all("sport=4444" in output.read_text() for _, output, _ in programs))
    said = []
    for process, output, errors in programs:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        # Who asked for the deletion may be gone when his name is looked up.
        said.append((re.sub(r"delta-time=\d+| progname=\w+", "", output.read_text()), errors.read_text()))
    theirs_all, ours_all, theirs_udp, ours_udp = said
    for event in ("    [NEW] ", " [UPDATE] ", "[DESTROY] "):
        assert event in theirs_all[0]
    assert ours_all[0].splitlines() == theirs_all[0].splitlines()
    assert ours_all == theirs_all
    assert "[USERSPACE] portid=" in ours_all[0]
    assert ours_udp == theirs_udp and "[UPDATE]" not in theirs_udp[0]
    del kept


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def listeners() -> int:
    """How many sockets of this namespace listen to netfilter: protocol 12, with groups."""
    lines = [line.split() for line in Path("/proc/net/netlink").read_text().splitlines()[1:]]
    return sum(words[1] == "12" and words[3] != "00000000" for words in lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "One of --dump"),
        ("-L -D", "One of --dump"),
        ("-L expect", "expect"),
        ("-L -p nothing", "--proto nothing"),
        ("-L -p 256", "--proto 256"),
        ("-L --sport 3", "-p with a protocol"),
        ("-L -p tcp --sport 65536", "--sport 65536"),
        ("-L -p udp --icmp-type 3", "--icmp-type"),
        ("-L -p udp --state ESTABLISHED", "--state"),
        ("-L -p tcp --state OPEN", "--state OPEN"),
        ("-L -s 1.2.3.4.5", "--src 1.2.3.4.5"),
        ("-L -s 1.2.3.4 -d ::1", "different families"),
        ("-L -r 1.2.3.0/24", "without a prefix length"),
        ("-L --mask-src 255.0.0.0", "--mask-src needs --src"),
        ("-L -f ipx", "--family ipx"),
        ("-L -m zz", "--mark zz"),
        ("-L -u NICE", "--status NICE"),
        ("-L -w 65536", "--zone 65536"),
        ("-L -j -n", "--any-nat"),
        ("-L -n 1.2.3.4.5", "--src-nat 1.2.3.4.5"),
        ("-L -o xml", "--output xml"),
        ("-L -z -p tcp", "--zero"),
        ("-L -e NEW", "--event-mask"),
        ("-E -e SOME", "--event-mask SOME"),
        ("-C -p tcp", "--count"),
        ("-F -p tcp", "--flush"),
        ("-G -p tcp", "--get needs"),
        ("-I", "--create"),
        ("-U", "--update"),
        ("-L -l nothing", "--label"),
    ],
)
def test_what_is_not_understood_is_refused_in_words(arguments: str, says: str) -> None:
    result = ours(arguments)
    assert result.exit_code == 2
    assert says in result.stderr
