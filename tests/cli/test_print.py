"""``flowtable print``, held against ``nft list ruleset`` with the same flags."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from flowtable.cli import main
from flowtable.ruleset import parse, print_ruleset
from flowtable.ruleset.style import Style, styled
from tests.ruleset.real_nft import listings

RULESET = """\
table inet t {
	chain c {
		type filter hook forward priority -5; policy accept;
		ip dscp ef tcp dport 22 ct state established,new counter
		ct state vmap { established : accept, 0x100 : drop }
		icmp type { echo-reply, 5-7 } ip protocol { tcp, icmp } meta l4proto 1
		meta pkttype host ct direction original
		tcp flags syn tcp flags syn / syn,ack
		tcp dport { 22, 80-90, 9999 } tcp sport 53-60
		meta protocol ip ct status dnat
		iifname "lo" reject with icmpx admin-prohibited
		meta skuid { 0, 1 } meta skgid 0 ct expiration 90s-3600s ct expiration { 60s, 2h }
	}
	chain d {
		type nat hook prerouting priority dstnat + 5;
		tcp dport 80 redirect to :8080
	}
}
"""


@pytest.fixture
def show(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.nft").write_text(RULESET)

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["print", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    return run


@pytest.mark.parametrize(
    "flags", ["", "-a", "-s", "-n", "-nn", "-y", "-p", "-S", "-T", "-u", "-a -s -y", "-n -S", "-u -T"]
)
def test_flags(show, flags: str) -> None:
    ((listing, _),) = listings([RULESET], f"{flags} list ruleset")
    assert show("x.nft", *flags.split()) == listing


@pytest.mark.parametrize("query", ["list tables", "list chains inet", "list chain inet t d", "list sets"])
def test_a_query_says_what_to_print(show, query: str) -> None:
    ((listing, _),) = listings([RULESET], query)
    assert show("x.nft", *query.split()) == listing


def test_quoting_of_versions(show, tmp_path) -> None:
    text = "table ip t { flowtable f { hook ingress priority 0; devices = { eth0, lo }; }; }\n"
    (tmp_path / "f.nft").write_text(text)
    assert "devices = { eth0, lo }\n" in show("f.nft")
    assert 'devices = { "eth0", "lo" }\n' in show("f.nft", "--nft-version", "1.1")


def test_json_there_and_back(show, tmp_path) -> None:
    (tmp_path / "x.json").write_text(show("x.nft", "-j"))
    assert show("x.json") == show("x.nft")
    assert [*json.loads(show("x.nft", "-j", "list", "tables"))] == ["nftables"]


def test_variables_and_folders(show, tmp_path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "part.nft").write_text("table ip t { chain c { tcp dport $ports accept; }; }\n")
    (tmp_path / "v.nft").write_text('include "part.nft"\n')
    listing = show("v.nft", "-I", "more", "-D", "ports={ 22, 80 }")
    assert listing == "table ip t {\n\tchain c {\n\t\ttcp dport { 22, 80 } accept\n\t}\n}\n"
    assert "v.nft:1:1-19: Error: File not found: part.nft" in show("v.nft", code=1)
    assert "more/part.nft:1:35-39: Error: unknown identifier 'ports'" in show("v.nft", "-I", "more", code=1)
    assert "expected NAME=VALUE, got 'ports'" in show("v.nft", "-D", "ports", code=2)


def test_what_cannot_be_asked(show) -> None:
    assert "COMMAND starts with list, get, reset, describe; got 'add'." in show("x.nft", "add", code=2)
    assert show("x.nft", "list", "chain", "inet", "t", "x", code=1).splitlines() == [
        "command line:1:19-19: Error: No such file or directory",
        "list chain inet t x",
        "                  ^",
    ]


def test_devices_by_index_have_their_names(show, tmp_path) -> None:
    text = "table ip t {\n\tchain c {\n\t\tiif 1 accept\n\t\toif 4711 drop\n\t}\n}\n"
    (tmp_path / "i.nft").write_text(text)
    assert show("i.nft") == text.replace("iif 1", 'iif "lo"')
    with styled(Style(devices={4711: "wan0"})):
        assert 'oif "wan0" drop' in print_ruleset(parse(text, "i.nft"))
