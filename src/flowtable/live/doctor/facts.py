"""What is known of a host that is to run live mode."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, Self

if TYPE_CHECKING:
    from flowtable.datapath.netlink import XdpFeatures


class Version(NamedTuple):
    """A version of three numbers."""

    major: int
    minor: int
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The first version in a text, as ``6.12.100`` of ``6.12.100+deb12-amd64``; None if there is none."""
        found = _VERSION.search(text)
        return None if found is None else cls(int(found[1]), int(found[2]), int(found[3] or 0))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


class Option(Enum):
    """How an option of the kernel is set."""

    BUILT_IN = "y"
    MODULE = "m"
    OFF = "n"


class Capability(Enum):
    """A capability that live mode takes; the value is its number. Ref: include/uapi/linux/capability.h."""

    CAP_NET_ADMIN = 12
    CAP_PERFMON = 38
    CAP_BPF = 39


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device.

    Attributes:
        name: its name.
        driver: of the device, empty where it does not say.
        mtu: bytes.
        ethernet: whether frames with MAC addresses pass it.
        xdp: what its driver does with XDP; None where the kernel does not say.
        attached: whether an XDP program is there.
        gro: whether frames are put together on arrival; None where it does not say.
        lro: the same by the hardware.
        checksums: whether the device works out checksums of what it sends.
    """

    name: str
    driver: str
    mtu: int
    ethernet: bool
    xdp: XdpFeatures | None = None
    attached: bool = False
    gro: bool | None = None
    lro: bool | None = None
    checksums: bool | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """A host.

    Attributes:
        release: of the kernel, as ``uname -r`` says.
        options: the kernel's options by name without ``CONFIG_``; None where they cannot be read.
        options_from: the file that they were read from.
        flowtable: whether nf_flow_table is there or can be loaded; None where it cannot be told.
        btf: whether the kernel describes its types.
        nft: the version of nft; None without nft.
        libbpf: the version of libbpf; None without libbpf.
        capabilities: those that this process has of those that live mode takes.
        jit: whether BPF programs are compiled; None where it cannot be read.
        lockdown: whether the kernel is locked down so that BPF may not read it.
        devices: those of this network namespace but lo.
    """

    release: str
    options: dict[str, Option] | None = None
    options_from: str = ""
    flowtable: bool | None = None
    btf: bool = False
    nft: Version | None = None
    libbpf: Version | None = None
    capabilities: frozenset[Capability] = frozenset()
    jit: bool | None = None
    lockdown: bool = False
    devices: list[DeviceFacts] = field(default_factory=list)

    @property
    def kernel(self) -> Version:
        """Its version."""
        return Version.parse(self.release) or Version(0, 0)

    def has(self, option: str) -> bool | None:
        """Whether an option is on; None where that cannot be told."""
        return None if self.options is None else self.options.get(option, Option.OFF) is not Option.OFF


def parse_options(text: str) -> dict[str, Option]:
    """The options in a kernel's .config, without ``CONFIG_``; those with other values are on."""
    options: dict[str, Option] = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.removeprefix("CONFIG_").partition("=")
            options[name] = Option.MODULE if value == "m" else Option.BUILT_IN
    return options
