"""Asking a host what it is. Nothing is loaded or changed."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
from contextlib import closing
from ctypes import CDLL
from pathlib import Path
from struct import Struct
from typing import Final

from flowtable.datapath.netlink import XdpFeatures, xdp_features
from flowtable.live.doctor.ethtool import Ethtool
from flowtable.live.doctor.facts import (
    Capability,
    DeviceFacts,
    Facts,
    Option,
    Version,
    parse_options,
)
from flowtable.live.mirror.kind import ARPHRD_ETHER
from flowtable.live.mirror.rtnetlink import Type
from flowtable.netlink.attribute import attributes, text, u32
from flowtable.netlink.message import NetlinkError
from flowtable.netlink.socket import NetlinkSocket
from flowtable.topology.device import LOOPBACK_INDEX

_BTF: Final = Path("/sys/kernel/btf/vmlinux")
_LINK: Final = Struct("=BxHiII")
_IFNAME: Final = 3
_MTU: Final = 4
_XDP: Final = 43


def probe() -> Facts:
    """What this host is, as far as this process may see it."""
    release = os.uname().release
    options, source = _options(release)
    return Facts(
        release=release,
        options=options,
        options_from=source,
        flowtable=_flowtable(release, options),
        btf=_BTF.exists(),
        nft=_nft(),
        libbpf=_libbpf(),
        capabilities=_capabilities(),
        jit=_jit(),
        lockdown="[confidentiality]" in _read("/sys/kernel/security/lockdown"),
        devices=_devices(),
    )


def has_flowtable() -> bool | None:
    """Whether the kernel has nf_flow_table; None where it cannot be told."""
    release = os.uname().release
    return _flowtable(release, _options(release)[0])


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _options(release: str) -> tuple[dict[str, Option] | None, str]:
    packed = Path("/proc/config.gz")
    if packed.exists():
        return parse_options(gzip.decompress(packed.read_bytes()).decode()), str(packed)
    for path in (
        f"/boot/config-{release}",
        f"/lib/modules/{release}/config",
        f"/lib/modules/{release}/build/.config",
    ):
        if plain := _read(path):
            return parse_options(plain), path
    return None, ""


def _flowtable(release: str, options: dict[str, Option] | None) -> bool | None:
    """Whether nf_flow_table is built in, loaded, or a module that can be loaded."""
    if Path("/sys/module/nf_flow_table").exists():
        return True
    option = None if options is None else options.get("NF_FLOW_TABLE", Option.OFF)
    if option in (Option.BUILT_IN, Option.OFF):
        return option is Option.BUILT_IN
    modules = Path("/lib/modules", release)
    if not modules.exists():
        return None
    known = _read(f"{modules}/modules.dep") + _read(f"{modules}/modules.builtin")
    return "/nf_flow_table." in known


def _nft() -> Version | None:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    try:
        answer = subprocess.run(
            ["nft", "--version"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": path},
        )
    except OSError:
        return None
    return Version.parse(answer.stdout)


def _libbpf() -> Version | None:
    try:
        library = CDLL("libbpf.so.1")
    except OSError:
        return None
    return Version(library.libbpf_major_version(), library.libbpf_minor_version())


def _capabilities() -> frozenset[Capability]:
    """Ref: proc_pid_status(5), CapEff."""
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            bits = int(line.split()[1], 16)
            return frozenset(each for each in Capability if bits >> each.value & 1)
    return frozenset()


def _jit() -> bool | None:
    value = _read("/proc/sys/net/core/bpf_jit_enable").strip()
    return None if not value else value != "0"


def _xdp(index: int) -> XdpFeatures | None:
    try:
        return xdp_features(index)
    except NetlinkError:
        return None


def _devices() -> list[DeviceFacts]:
    found = []
    with NetlinkSocket(socket.NETLINK_ROUTE) as asking, closing(Ethtool()) as ethtool:
        for answer in asking.dump(Type.GETLINK, bytes(_LINK.size)):
            _, hardware, index, _, _ = _LINK.unpack_from(answer.body)
            values = attributes(answer.body, _LINK.size)
            if index == LOOPBACK_INDEX:
                continue
            name = text(values[_IFNAME])
            attached = attributes(values.get(_XDP, b"")).get(2, b"\0")
            found.append(
                DeviceFacts(
                    name=name,
                    driver=ethtool.driver(name),
                    mtu=u32(values[_MTU]),
                    ethernet=hardware == ARPHRD_ETHER,
                    xdp=_xdp(index),
                    attached=attached != b"\0",
                    gro=ethtool.gro(name),
                    lro=ethtool.lro(name),
                    checksums=ethtool.checksums(name),
                )
            )
    return found
