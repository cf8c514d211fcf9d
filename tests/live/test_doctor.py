"""What the doctor says of hosts, known ones and this one."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module

import pytest
from click.testing import CliRunner

from flowtable.cli import main
from flowtable.datapath.netlink import XdpFeatures
from flowtable.live.doctor import probe
from flowtable.live.doctor.facts import (
    Capability,
    DeviceFacts,
    Facts,
    Option,
    Version,
    parse_options,
)
from flowtable.live.doctor.judge import Level, judge, runs
from flowtable.live.doctor.kernels import known_bugs
from tests.live.host import host, run
from tests.live.hosts import in_namespace
from tests.namespace import needs_tun

ALL_XDP = XdpFeatures.BASIC | XdpFeatures.REDIRECT | XdpFeatures.NDO_XMIT
ON = dict.fromkeys(
    (
        *("NF_TABLES", "NF_CONNTRACK", "NF_CT_NETLINK", "NF_CONNTRACK_EVENTS", "NF_CONNTRACK_LABELS"),
        *(
            "BPF_SYSCALL",
            "DEBUG_INFO_BTF",
            "NFT_NAT",
            "VLAN_8021Q",
            "BRIDGE_VLAN_FILTERING",
            "PPPOE",
            "BPF_JIT",
        ),
    ),
    Option.BUILT_IN,
)
GOOD = Facts(
    release="6.18.44",
    options=ON,
    options_from="/proc/config.gz",
    flowtable=False,
    btf=True,
    nft=Version(1, 0, 6),
    libbpf=Version(1, 1),
    capabilities=frozenset(Capability),
    jit=True,
    devices=[DeviceFacts("eth0", "virtio_net", 1500, ethernet=True, xdp=ALL_XDP, gro=True)],
)


def test_a_host_that_has_all_of_it():
    findings = judge(GOOD)
    assert {finding.level for finding in findings} == {Level.FINE}
    assert runs(findings)


@pytest.mark.parametrize(
    ("facts", "words", "advice"),
    [
        (replace(GOOD, release="5.10.0-33-amd64"), "Linux 5.10.0", "5.11.0 is the oldest"),
        (
            replace(GOOD, options={**ON, "NF_CONNTRACK_LABELS": Option.OFF}),
            "CONFIG_NF_CONNTRACK_LABELS (rules cannot mark",
            "use a kernel with these options",
        ),
        (replace(GOOD, btf=False), "no /sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"),
        (replace(GOOD, lockdown=True), "lockdown keeps BPF", "lockdown=integrity"),
        (replace(GOOD, nft=None), "no nft", "install nftables"),
        (replace(GOOD, libbpf=None), "no libbpf.so.1", "install libbpf1"),
        (replace(GOOD, libbpf=Version(0, 8)), "libbpf 0.8.0", "1.0.0 or newer"),
        (
            replace(GOOD, capabilities=frozenset({Capability.CAP_NET_ADMIN})),
            "without CAP_PERFMON, CAP_BPF",
            "run as root",
        ),
    ],
)
def test_what_live_mode_does_not_run_without(facts, words, advice):
    findings = judge(facts)
    [missing] = [finding for finding in findings if finding.level is Level.MISSING]
    assert words in missing.text
    assert advice in missing.advice
    assert not runs(findings)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(GOOD, options=None), "its options cannot be read"),
        (replace(GOOD, options={**ON, "PPPOE": Option.OFF}), "CONFIG_PPPOE (no PPPoE sessions)"),
        (replace(GOOD, jit=False), "interpreted"),
        (replace(GOOD, flowtable=None), "cannot be told"),
        (replace(GOOD, nft=Version(1, 1, 0)), "broke programs"),
        (replace(GOOD, release="5.15.0"), "does not keep next hops fresh"),
        (replace(GOOD, release="6.1.0"), "no links for tc"),
    ],
)
def test_what_limits_it(facts, words):
    findings = judge(facts)
    assert any(words in finding.text for finding in findings if finding.level is Level.LIMIT)
    assert runs(findings)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (
            DeviceFacts("d", "e1000e", 1500, ethernet=True, xdp=XdpFeatures(0), gro=False),
            "no native XDP (e1000e)",
        ),
        (DeviceFacts("d", "", 1500, ethernet=True), "the kernel does not say"),
        (DeviceFacts("d", "ixgbe", 9000, ethernet=True, xdp=ALL_XDP), "MTU 9000"),
        (DeviceFacts("d", "ixgbe", 1500, ethernet=True, xdp=ALL_XDP, lro=True), "LRO"),
        (DeviceFacts("d", "bridge", 1500, ethernet=True, xdp=XdpFeatures(0), gro=True), "GRO"),
        (DeviceFacts("d", "veth", 1500, ethernet=True, xdp=ALL_XDP, checksums=True), "lack its checksum"),
        (DeviceFacts("d", "ixgbe", 1500, ethernet=True, xdp=ALL_XDP, attached=True), "XDP program is there"),
        (DeviceFacts("d", "wireguard", 1420, ethernet=False), "flows do not use it"),
        (
            DeviceFacts("d", "veth", 1500, ethernet=True, xdp=ALL_XDP & ~XdpFeatures.NDO_XMIT),
            "takes no frames",
        ),
    ],
)
def test_what_limits_a_device(device, words):
    findings = [finding for finding in judge(replace(GOOD, devices=[device])) if finding.topic == "d"]
    assert any(words in finding.text for finding in findings if finding.level is Level.LIMIT)


def test_bugs_of_kernels_with_flowtables():
    sources = " ".join(finding.text for finding in judge(replace(GOOD, flowtable=True, release="6.19.3")))
    assert "firewalld" in sources
    assert not any("firewalld/issues/1555" in bug.source for bug in known_bugs(Version(6, 18, 44)))
    assert not any("own flowtable" in finding.text for finding in judge(replace(GOOD, release="6.19.3")))
    assert known_bugs(Version(7, 2)) == [bug for bug in known_bugs(Version(5, 4)) if bug.before is None]


def test_options_of_a_kernel():
    text = 'CONFIG_NF_TABLES=m\n# CONFIG_PPPOE is not set\nCONFIG_HZ=250\nCONFIG_BPF_JIT=y\nCONFIG_X="a=b"\n'
    options = parse_options(text)
    assert options == {
        "NF_TABLES": Option.MODULE,
        "HZ": Option.BUILT_IN,
        "BPF_JIT": Option.BUILT_IN,
        "X": Option.BUILT_IN,
    }
    facts = replace(GOOD, options=options)
    assert facts.has("NF_TABLES") and not facts.has("PPPOE")
    assert replace(GOOD, options=None).has("PPPOE") is None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("6.12.100+deb12-amd64", (6, 12, 100)),
        ("nftables v1.0.6 (Lester Gooch #5)", (1, 0, 6)),
        ("6.1", (6, 1, 0)),
        ("none", None),
    ],
)
def test_versions(text, version):
    assert Version.parse(text) == version


@needs_tun
@in_namespace
def test_this_host():
    with host("link add lan0 type veth peer lan0x mtu 9000", "tuntap add tun0 mode tun") as namespace:
        facts = probe.probe()
        devices = {device.name: device for device in facts.devices}
        assert devices.keys() == {"lan0", "lan0x", "tun0"}
        assert devices["lan0"].driver == "veth"
        assert devices["lan0x"].mtu == 9000
        assert devices["lan0"].ethernet and not devices["tun0"].ethernet
        assert devices["lan0"].xdp is not None and XdpFeatures.BASIC in devices["lan0"].xdp
        assert not any(device.attached for device in facts.devices)
        run(namespace, "link set lan0 up")
        assert facts.kernel >= (5, 11)


@pytest.mark.parametrize(("facts", "code"), [(GOOD, 0), (replace(GOOD, btf=False), 1)])
def test_the_command(monkeypatch, facts, code):
    monkeypatch.setattr(import_module("flowtable.cli.doctor"), "probe", lambda: facts)
    text = CliRunner().invoke(main, ["doctor"])
    assert text.exit_code == code
    assert ("Live mode runs here." in text.stdout) is (code == 0)
    machine = CliRunner().invoke(main, ["doctor", "--json"])
    assert machine.exit_code == code
    document = json.loads(machine.stdout)
    assert document["runs"] is (code == 0)
    assert {finding["level"] for finding in document["findings"]} <= {level.value for level in Level}
