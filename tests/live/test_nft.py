"""``flowtable nft``: what is checked here, what nft gets, and what it prints."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGPIPE

import pytest

from flowtable.live.client import Client, ServiceError
from flowtable.live.control import Monitor
from flowtable.live.load import LoadError
from flowtable.live.mark import Carrier, Mark
from flowtable.live.nft.arguments import read_arguments
from flowtable.live.nft.dropin import Finished, about_flows, changed, listed
from flowtable.live.nft.kernel import read_listing
from flowtable.live.record import Kept
from flowtable.ruleset import parse, print_ruleset
from tests.live.world import Events, Exchange, Line, World, control_socket, require_root
from tests.namespace import require

RULES = """\
table inet t {
	flowtable f {
		hook ingress priority filter
		devices = { lan, wan }
		counter
	}

	chain c {
		type filter hook forward priority filter; policy accept;
		tcp dport 5000 flow add @f counter packets 0 bytes 0
		udp dport 53 jump {
			flow add @f
			accept
		}
	}
}
"""
MARK = Mark(Carrier.LABEL, 127)
LISTED = (
    "meta l4proto . ct status & assured "
    "{ udp . 0x0, gre . 0x0, tcp . assured, udp . assured, gre . assured } "
    "ct status confirmed / confirmed,0x40,dying,0x1000,0x2000 "
    "@nh,0,8 != 0x46-0x4f meta ipsec missing ct label ! 127 ct label set 127"
)
"""The statements of that mark as nft 1.0.6 lists them."""
KERNEL = f"""\
table inet t {{ # handle 7
	set flowtable-f {{ # handle 9
		type ifname
		comment "hook ingress priority 0 counter label 127"
		elements = {{ "lan", "wan" }}
	}}

	chain c {{ # handle 1
		type filter hook forward priority filter; policy accept;
		tcp dport 5000 {LISTED} counter packets 3 bytes 180 # handle 4
		udp dport 53 jump {{
			{LISTED}
			accept
		}} # handle 8
	}}
}}
"""


@dataclass
class FakeHost:
    """A machine whose nft remembers what it was asked."""

    kept: tuple[Kept, ...] = ()
    listing: str = ""
    prints: str = ""
    serves: bool = True
    loaded: list[str] = field(default_factory=list)
    served: int = 0

    def nft(self, *arguments: str, text: str | None = None) -> Finished:
        if text is None:
            assert arguments == ("--handle", "list", "ruleset")
            return Finished(0, self.listing)
        self.loaded.append(text)
        return Finished(0, self.prints)

    def flowtables(self) -> tuple[Kept, ...]:
        return self.kept

    def devices(self) -> tuple[str, ...]:
        return ("lo", "lan", "wan")

    def serve(self) -> None:
        self.served += 1
        if not self.serves:
            raise ServiceError("no BPF here")


def kept() -> tuple[Kept, ...]:
    return tuple(Kept(replace(each, handle=9), MARK) for each in parse(RULES, "x.nft").flowtables())


@pytest.fixture
def loaded() -> FakeHost:
    return FakeHost(kept(), KERNEL)


def do(host: FakeHost, line: str, text: str | None = None) -> Finished:
    arguments = read_arguments(line.split())
    assert arguments is not None
    return changed(host, arguments, " ".join(arguments.words) if text is None else text)


def test_a_file_is_loaded_and_a_service_started() -> None:
    host = FakeHost()
    assert do(host, "-f -", RULES) == Finished(0)
    (text,) = host.loaded
    assert MARK.statements in text
    assert (
        'add set inet t flowtable-f { type ifname; comment "hook ingress priority 0 counter label 127"'
        in text
    )
    assert host.served == 1


def test_a_check_starts_nothing() -> None:
    host = FakeHost()
    assert do(host, "-c -f -", RULES) == Finished(0)
    assert host.served == 0


def test_without_a_service_packets_take_the_classic_path() -> None:
    done = do(FakeHost(serves=False), "-f -", RULES)
    assert done == Finished(0, "", "flowtable: flows stay on the classic path: no BPF here\n")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            "add rule inet t c flow add @g",
            "Error: Could not process rule: No such file or directory\n"
            "add rule inet t c flow add @g\n"
            "                  ^^^^^^^^^^^\n"
            "hint: no flowtable 'g' in this table; it has: f\n",
        ),
        (
            "delete flowtable inet t f",
            "Error: Could not process rule: Device or resource busy\n"
            "delete flowtable inet t f\n"
            "                        ^\n"
            "hint: used by a rule of chain 'c'\n",
        ),
        (
            "add flowtable inet t f { devices = { eth7 } ; }",
            "Error: Could not process rule: No such file or directory\n"
            "add flowtable inet t f { devices = { eth7 } ; }\n"
            "                     ^\n"
            "hint: there is no device eth7\n",
        ),
        (
            "create flowtable inet t g { hook ingress priority 0 ; flags offload ; }",
            "Error: Could not process rule: Operation not supported\n"
            "create flowtable inet t g { hook ingress priority 0 ; flags offload ; }\n"
            "                        ^\n"
            "hint: this kernel drives no hardware; "
            "without 'flags offload' flows take the fast path in software\n",
        ),
    ],
)
def test_what_the_kernel_would_refuse(loaded: FakeHost, line: str, error: str) -> None:
    assert do(loaded, line) == Finished(1, errors=error)
    assert loaded.loaded == []


def test_errors_of_files_have_places(loaded: FakeHost) -> None:
    done = do(loaded, "-f -", "add rule inet t c flow add @g\n")
    assert done.errors.startswith("/dev/stdin:1:19-29: Error: Could not process rule")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("add rule inet t c flow add @f", f"add rule inet t c {MARK.statements}"),
        ("add flowtable inet t f { devices = { lo } ; }", 'add element inet t flowtable-f { "lo" }\n'),
        ("replace rule inet t c handle 4 flow add @f", f"replace rule inet t c handle 4 {MARK.statements}"),
        ("delete rule inet t c handle 8 ; add rule inet t c flow add @f", None),
    ],
)
def test_commands_reach_what_is_loaded(loaded: FakeHost, line: str, text: str | None) -> None:
    assert do(loaded, line).status == 0
    assert text is None or loaded.loaded == [text]


def test_only_lists_of_flowtables_need_no_nft(loaded: FakeHost) -> None:
    done = do(loaded, "-a list flowtable inet t f")
    block = RULES[RULES.index("\tflow") : RULES.index("\n\tchain")]
    head = "\tflowtable f { # handle 9"
    assert done.output == f"table inet t {{\n{block}}}\n".replace("\tflowtable f {", head)
    assert (loaded.loaded, loaded.served) == ([], 0)


def test_lists_of_flowtables_as_json(loaded: FakeHost) -> None:
    items = json.loads(do(loaded, "-j list flowtables").output)["nftables"]
    assert [item["flowtable"]["dev"] for item in items if "flowtable" in item] == [["lan", "wan"]]
    assert not [item for item in items if "table" in item]


def test_listings_are_rejoined(loaded: FakeHost) -> None:
    arguments = read_arguments(["list", "ruleset"])
    assert arguments is not None
    shown = listed(
        loaded, arguments, "list ruleset", KERNEL.replace(" # handle", "\0").replace("\0", " # handle")
    )
    assert print_ruleset(parse(shown, "x.nft")) == RULES.replace("packets 0 bytes 0", "packets 3 bytes 180")


def test_a_listing_stays_as_it_is_where_flowtables_are_not_to_be_had(loaded: FakeHost) -> None:
    class Gone(FakeHost):
        def flowtables(self) -> tuple[Kept, ...]:
            raise LoadError("gone")

    arguments = read_arguments(["list", "ruleset"])
    assert arguments is not None
    assert listed(Gone(), arguments, "list ruleset", KERNEL) == KERNEL


def test_a_listing_is_read_with_its_handles(loaded: FakeHost) -> None:
    ruleset = read_listing(KERNEL, loaded.kept)
    table = ruleset.table("inet", "t")
    assert (table.handle, table.flowtables["f"].handle, table.chains["c"].handle) == (7, 9, 1)
    assert [rule.handle for rule in table.chains["c"].rules] == [4, 8]
    assert table.last_handle == 9


def test_a_table_that_cannot_be_read_is_left_out(loaded: FakeHost) -> None:
    ruleset = read_listing("table ip new {\n\tfuture thing {\n\t}\n}\n" + KERNEL, loaded.kept)
    assert [table.name for table in ruleset.tables.values()] == ["t"]


def test_included_files_may_be_about_flowtables() -> None:
    files = {"a": [("a", 'include "b"\n')], "b": [("b", "add rule t c flow add @f\n")], "c": [("c", "")]}
    assert about_flows('include "a"\n', files.get)
    assert not about_flows('include "c"\ninclude "missing"\n', files.get)


# With the real nft, and a service: only root can have them.


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    require_root()
    with World(tmp_path) as opened:
        yield opened


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A folder with a link called nft."""
    program = tmp_path / "flowtable"
    program.write_text(f"#!{sys.executable}\nfrom flowtable.__main__ import main\nmain()\n")
    program.chmod(0o755)
    (tmp_path / "nft").symlink_to(program)
    return tmp_path


SCRIPT = """\
set -e
nft flush ruleset
nft -f - << EOF
$1
EOF
nft add flowtable inet t g '{ hook ingress priority -5; devices = { lo }; }'
handle=$(nft -a list table inet t | sed -n 's/.*flowtable g.*handle //p')
nft delete flowtable inet t handle "$handle"
! nft delete flowtable inet t f 2> /dev/null
nft -c add rule inet t c flow offload @f
nft list ruleset
"""


def test_scripts_need_no_change(world: World, link: Path) -> None:
    """Only nft is called, and flows take the fast path."""
    line = Line(world)
    router = line.router
    environment = {**os.environ, "PATH": f"{link}{os.pathsep}{os.environ['PATH']}"}
    try:
        done = subprocess.run(
            router.command("sh", "-c", SCRIPT, "sh", RULES),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == RULES
        exchange = Exchange(line.client, line.server, "10.0.2.99", size=1 << 20)
        exchange.run()
        (flow,) = router.rows("flows")
        assert flow["flowtable"] == "f"
        assert flow["original"]["packets"] > 0
        counted = router.run(str(link / "nft"), "list", "chain", "inet", "t", "c")
        assert "flow add @f counter packets 1 " in counted, "once for each flow that is added"
        exchange.close()
    finally:
        router.run(sys.executable, "-m", "flowtable", "down", check=False)


def test_a_test_of_shell_commands_needs_no_change(world: World, link: Path, tmp_path: Path) -> None:
    """Files come through whole, and every connection was on the fast path."""
    require("socat", "ping", "ss")
    line = Line(world)
    content = tmp_path / "content"
    content.write_bytes(os.urandom(1 << 22))
    hosts = [host.namespace for host in (line.client, line.router, line.server)]
    environment = {**os.environ, "PATH": f"{link}{os.pathsep}{os.environ['PATH']}"}
    script = Path(__file__).with_name("script.sh")
    try:
        done = subprocess.run(
            ["sh", str(script), *hosts, str(content)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("transferred") == 5
        counted = re.search(r"packets (\d+) ", done.stdout)
        assert counted is not None
        assert int(counted[1]) >= 5, "the rule went on once for each connection, or for each processor"
        assert "flowtable fast {" in done.stdout
        status = json.loads(line.router.flowtable("status", "--json"))
        assert status["added"] >= 5
    finally:
        line.router.run(sys.executable, "-m", "flowtable", "down", check=False)


TRACKED = (
    "table inet before { chain c { type filter hook forward priority 9; ct state established accept; }; }"
)


def test_a_bit_of_the_mark_does_for_connections_that_are_older(world: World, link: Path) -> None:
    """They have no labels, for no rule asked for any when they began."""
    line = Line(world)
    router = line.router
    router.run("nft", TRACKED)
    exchange = Exchange(line.client, line.server, "10.0.2.99", size=1 << 20)
    try:
        subprocess.run(
            router.command(str(link / "nft"), "-f", "-"),
            env={**os.environ, "FLOWTABLE_CARRIER": "mark"},
            input=RULES,
            text=True,
            check=True,
            timeout=120,
        )
        assert "ct mark set ct mark | 0x40000000" in router.run("nft", "list", "ruleset")
        # Linux may tell nothing of connections that began while nobody listened: they are looked for.
        with Client(control_socket(router)) as client:
            events = Events(client.ask(Monitor()))
            exchange.run()
            if not router.rows("flows"):
                events.until("added")
        (flow,) = router.rows("flows")
        assert flow["mark"] & 0x40000000
        exchange.close()
    finally:
        router.run(sys.executable, "-m", "flowtable", "down", check=False)


def test_what_is_not_about_flowtables_is_nfts_own(world: World, link: Path) -> None:
    host = world.host("alone")
    real = shutil.which("nft")
    assert real is not None
    for arguments in (
        "list ruleset",
        "--version",
        "list table inet nosuch",
        "add rule t c acept",
        "-j list tables",
    ):
        results = [
            subprocess.run(
                host.command(program, *arguments.split()),
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            for program in (real, str(link / "nft"))
        ]
        assert results[0].returncode == results[1].returncode
        assert (results[0].stdout, results[0].stderr) == (results[1].stdout, results[1].stderr)
    host.run("nft", TRACKED)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(host.command(str(link / "nft"), "list", "ruleset"), stdout=writing, check=False)
    os.close(writing)
    assert done.returncode == -SIGPIPE, "as the real one, without a word"
