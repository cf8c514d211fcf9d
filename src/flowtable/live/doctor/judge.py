"""What follows from what is known of a host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from flowtable.datapath.netlink import XdpFeatures
from flowtable.live.doctor.facts import Capability, DeviceFacts, Facts, Version
from flowtable.live.doctor.kernels import known_bugs


class Level(Enum):
    """How a finding bears on live mode."""

    FINE = "fine"
    """There, and as it should be."""
    LIMIT = "limit"
    """Live mode runs, but slower, or not in all cases."""
    MISSING = "missing"
    """Live mode does not run without it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a host.

    Attributes:
        topic: what it is about: ``kernel``, ``bpf``, ``tools``, ``rights``, or the name of a device.
        level: how it bears on live mode.
        text: what it is.
        advice: what to do about it, empty where there is nothing to do.
    """

    topic: str
    level: Level
    text: str
    advice: str = ""


OLDEST: Final = Version(5, 11)
"""It has all that the fast path calls, bpf_ktime_get_coarse_ns last, and XDP links (5.9)."""
_TCX: Final = Version(6, 6)
_MANAGED: Final = Version(5, 16)
_LARGEST_NATIVE: Final = 3498
"""What drivers without XDP fragments take on pages of 4096 bytes, more or less."""
_REQUIRED: Final = {
    "NF_TABLES": "nft loads no ruleset",
    "NF_CONNTRACK": "there are no connections",
    "NF_CT_NETLINK": "connections are not told of",
    "NF_CONNTRACK_EVENTS": "new connections are not told of",
    "NF_CONNTRACK_LABELS": "rules cannot mark connections for the flowtable",
    "BPF_SYSCALL": "there is no fast path",
    "DEBUG_INFO_BTF": "the fast path cannot be loaded",
}
"""Options, and what is not there without them."""
_USEFUL: Final = {
    "NFT_NAT": "no address translation in rulesets",
    "VLAN_8021Q": "no VLAN devices",
    "BRIDGE_VLAN_FILTERING": "no bridges that filter VLANs",
    "PPPOE": "no PPPoE sessions",
    "BPF_JIT": "the fast path is interpreted, which is slow",
}
OLDEST_NFT: Final = Version(0, 9, 4)
OLDEST_LIBBPF: Final = Version(1, 0)


def judge(facts: Facts) -> list[Finding]:
    """All that is to say of a host, the kernel first, the devices last."""
    findings = [*_kernel(facts), *_flowtable(facts), *_bpf(facts), *_tools(facts), *_rights(facts)]
    for device in facts.devices:
        findings += _device(device)
    return findings


def runs(findings: list[Finding]) -> bool:
    """Whether live mode runs on such a host."""
    return all(finding.level is not Level.MISSING for finding in findings)


def _kernel(facts: Facts) -> Iterator[Finding]:
    name = f"Linux {facts.release}"
    if facts.kernel < OLDEST:
        yield Finding(
            "kernel",
            Level.MISSING,
            name,
            f"Linux {OLDEST} is the oldest that has all that the fast path needs",
        )
    else:
        yield Finding("kernel", Level.FINE, name)
    if facts.options is None:
        yield Finding(
            "kernel",
            Level.LIMIT,
            "its options cannot be read (/proc/config.gz, /boot/config-*)",
            "install the package with the kernel's configuration to have them looked at",
        )
        return
    lacks = [f"CONFIG_{option} ({what})" for option, what in _REQUIRED.items() if not facts.has(option)]
    useful = [f"CONFIG_{option} ({what})" for option, what in _USEFUL.items() if not facts.has(option)]
    if lacks:
        advice = "use a kernel with these options; those of distributions have them"
        yield Finding("kernel", Level.MISSING, f"without {', '.join(lacks)}", advice)
    else:
        yield Finding("kernel", Level.FINE, f"has the options that live mode needs ({facts.options_from})")
    if useful:
        yield Finding("kernel", Level.LIMIT, f"without {', '.join(useful)}")
    if facts.kernel < _MANAGED:
        text = "does not keep next hops fresh by itself (Linux 5.16); the service asks it to, now and then"
        yield Finding("kernel", Level.LIMIT, text)


def _flowtable(facts: Facts) -> Iterator[Finding]:
    match facts.flowtable:
        case None:
            yield Finding("flowtable", Level.LIMIT, "whether this kernel has nf_flow_table cannot be told")
        case False:
            text = (
                "this kernel has no nf_flow_table, so nft refuses flowtables; live mode is what accelerates"
            )
            yield Finding("flowtable", Level.FINE, text)
        case True:
            text = "this kernel has nf_flow_table; live mode runs beside it, or in its place"
            yield Finding("flowtable", Level.FINE, text)
            for bug in known_bugs(facts.kernel):
                text = f"the kernel's own flowtable: {bug.symptom} ({bug.source})"
                yield Finding("flowtable", Level.LIMIT, text, bug.remedy)


def _bpf(facts: Facts) -> Iterator[Finding]:
    if facts.btf:
        yield Finding("bpf", Level.FINE, "the kernel describes its types (/sys/kernel/btf/vmlinux)")
    else:
        advice = "a kernel with CONFIG_DEBUG_INFO_BTF"
        yield Finding("bpf", Level.MISSING, "no /sys/kernel/btf/vmlinux", advice)
    if facts.lockdown:
        advice = "boot with lockdown=integrity, or without lockdown"
        yield Finding("bpf", Level.MISSING, "kernel lockdown keeps BPF from reading the kernel", advice)
    if facts.jit is False:
        advice = "sysctl net.core.bpf_jit_enable=1"
        yield Finding("bpf", Level.LIMIT, "BPF programs are interpreted, which is slow", advice)
    if facts.kernel < _TCX:
        text = "no links for tc (Linux 6.6): devices without XDP cannot be used"
        yield Finding("bpf", Level.LIMIT, text)


def _tools(facts: Facts) -> Iterator[Finding]:
    if facts.nft is None:
        yield Finding("tools", Level.MISSING, "no nft", "install nftables")
    elif facts.nft < OLDEST_NFT:
        advice = f"nftables {OLDEST_NFT} or newer"
        yield Finding("tools", Level.LIMIT, f"nft {facts.nft} is older than what is tested", advice)
    elif facts.nft == Version(1, 1, 0):
        text = "nft 1.1.0 broke programs that use it (firewalld #1366)"
        yield Finding("tools", Level.LIMIT, text, "nftables 1.1.1 or newer")
    else:
        yield Finding("tools", Level.FINE, f"nft {facts.nft}")
    if facts.libbpf is None:
        yield Finding("tools", Level.MISSING, "no libbpf.so.1", "install libbpf1 (Debian), libbpf (others)")
    elif facts.libbpf < OLDEST_LIBBPF:
        yield Finding("tools", Level.MISSING, f"libbpf {facts.libbpf}", f"libbpf {OLDEST_LIBBPF} or newer")
    else:
        yield Finding("tools", Level.FINE, f"libbpf {facts.libbpf}")


def _rights(facts: Facts) -> Iterator[Finding]:
    lacks = [capability.name for capability in Capability if capability not in facts.capabilities]
    if lacks:
        text = f"without {', '.join(lacks)}"
        yield Finding("rights", Level.MISSING, text, "run as root, or give the service these capabilities")
    else:
        yield Finding("rights", Level.FINE, f"has {', '.join(c.name for c in Capability)}")


def _device(device: DeviceFacts) -> Iterator[Finding]:
    name = device.name
    if not device.ethernet:
        text = "no frames with MAC addresses: flows do not use it, their packets take the classic path"
        yield Finding(name, Level.LIMIT, text)
        return
    driver = device.driver or "no driver of its own"
    match device.xdp:
        case None:
            native = False
            text = f"{driver}; whether it has native XDP the kernel does not say (Linux 6.3)"
            yield Finding(name, Level.LIMIT, text, "flowtable up --xdp auto tries it")
        case features if XdpFeatures.REDIRECT in features and XdpFeatures.BASIC in features:
            native = True
            yield Finding(name, Level.FINE, f"native XDP ({driver})")
        case _:
            native = False
            text = f"no native XDP ({driver}): generic XDP is used, which is slower"
            yield Finding(name, Level.LIMIT, text)
    if device.attached:
        text = "an XDP program is there already, and there can be but one"
        yield Finding(
            name, Level.LIMIT, text, f"see `bpftool net show dev {name}`; `ip link set {name} xdp off`"
        )
    if native and device.xdp is not None and XdpFeatures.NDO_XMIT not in device.xdp:
        text = "as things are it takes no frames that native XDP sends on from other devices"
        veth = "ethtool -K PEER gro on at the far end" if device.driver == "veth" else ""
        yield Finding(name, Level.LIMIT, text, veth)
    if native and device.mtu > _LARGEST_NATIVE:
        text = f"MTU {device.mtu}: most drivers refuse native XDP above {_LARGEST_NATIVE}"
        yield Finding(name, Level.LIMIT, text, f"ip link set {name} mtu {_LARGEST_NATIVE}, or generic XDP")
    if device.lro:
        text = "LRO puts frames together that may not be sent on"
        yield Finding(name, Level.LIMIT, text, f"ethtool -K {name} lro off")
    if device.gro and not native:
        text = "GRO: generic XDP sees frames that are put together, which take the classic path if too big"
        yield Finding(name, Level.LIMIT, text, f"ethtool -K {name} gro off")
    if device.driver == "veth" and native and device.checksums:
        text = "what the far end of a veth sends may lack its checksum, which native XDP does not work out"
        yield Finding(name, Level.LIMIT, text, "ethtool -K PEER tx off at the far end, where hosts are")
