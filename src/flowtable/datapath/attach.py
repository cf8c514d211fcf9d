"""Programs on devices.

A program is attached by a link, which is this process's: when the process ends, however it ends,
the kernel takes the program off and packets take the classic path.

Ref: net/core/dev.c:dev_xdp_attach, bpf_xdp_link_attach; kernel/bpf/tcx.c:tcx_link_attach.
"""

from __future__ import annotations

import weakref
from ctypes import CDLL
from enum import Enum
from errno import EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, EPERM, ERANGE, errorcode
from typing import TYPE_CHECKING, Final

from flowtable.datapath.bpf import BpfError, create_link, link_device
from flowtable.datapath.netlink import set_xdp
from flowtable.netlink.message import NetlinkError

if TYPE_CHECKING:
    from flowtable.datapath.bpf import Program

_BPF_XDP: Final = 37
_BPF_TCX_INGRESS: Final = 46
_XDP_FLAGS_SKB_MODE: Final = 2
_XDP_FLAGS_DRV_MODE: Final = 4


class AttachMode(Enum):
    """Where a program meets the frames of a device."""

    NATIVE = "native"
    """XDP in the driver, before there is an ``sk_buff``: for drivers that can."""
    GENERIC = "generic"
    """XDP behind the driver, for every device with Ethernet frames; slower."""
    TC = "tc"
    """Ingress of traffic control, behind GRO, for every device; Linux 6.6 and up."""


_XDP_FLAGS: Final = {AttachMode.NATIVE: _XDP_FLAGS_DRV_MODE, AttachMode.GENERIC: _XDP_FLAGS_SKB_MODE}


class Attachment:
    """A program on a device, until it is closed or this process ends.

    Attributes:
        ifindex: the device.
        mode: where on it.
    """

    __slots__ = ("__weakref__", "_fd", "close", "ifindex", "mode")

    def __init__(self, fd: int, ifindex: int, mode: AttachMode) -> None:
        self.ifindex = ifindex
        self.mode = mode
        self._fd = fd
        self.close = weakref.finalize(self, CDLL(None).close, fd)

    @property
    def holds(self) -> bool:
        """Whether the program still is there: an administrator can take it off."""
        return link_device(self._fd) == self.ifindex


def attach(program: Program, ifindex: int, mode: AttachMode) -> Attachment:
    """Attach a program to a device.

    Args:
        program: of the kind that the mode takes.
        ifindex: the device, in the network namespace of this thread.
        mode: where it is to meet frames.

    Raises:
        BpfError: the device does not take it in this mode; ``strerror`` says why.
    """
    match mode:
        case AttachMode.NATIVE | AttachMode.GENERIC:
            fd = create_link(program.fd, ifindex, _BPF_XDP, _XDP_FLAGS[mode])
        case AttachMode.TC:
            fd = create_link(program.fd, ifindex, _BPF_TCX_INGRESS, 0)
    if fd < 0:
        words = _why(program, ifindex, mode, -fd)
        raise BpfError(-fd, f"no {_NAMES[mode]} on device {ifindex}: {words}")
    return Attachment(fd, ifindex, mode)


_NAMES: Final = {
    AttachMode.NATIVE: "native XDP",
    AttachMode.GENERIC: "generic XDP",
    AttachMode.TC: "tc ingress program",
}


def _why(program: Program, ifindex: int, mode: AttachMode, number: int) -> str:
    if mode is AttachMode.TC and number == EINVAL:
        return "the kernel has no links for tc, which came with Linux 6.6"
    if mode is AttachMode.TC or number == EPERM:
        return _REASONS.get(number, errorcode.get(number, "refused"))
    # A link does not say why it could not be made; the older way of attaching does.
    flags = _XDP_FLAGS[mode]
    try:
        set_xdp(ifindex, program.fd, flags)
    except NetlinkError as error:
        number = error.errno or 0
        said = error.words or errorcode.get(number, "")
        return f"{_REASONS.get(number, said)}{_ADVICE.get((mode, number), '')}"
    set_xdp(ifindex, -1, flags)
    return "the device was busy for a moment"


_OTHER: Final = "; another program is there, which `ip link show` and `bpftool net` name"
_ADVICE: Final[dict[tuple[AttachMode, int], str]] = {
    (AttachMode.NATIVE, EOPNOTSUPP): "; generic XDP works on every device",
    (AttachMode.NATIVE, EINVAL): "; a smaller MTU or generic XDP may do",
    (AttachMode.NATIVE, ERANGE): "; a smaller MTU or generic XDP may do",
    **{(mode, number): _OTHER for mode in _XDP_FLAGS for number in (EBUSY, EEXIST)},
}
_REASONS: Final = {
    EPERM: "it takes CAP_NET_ADMIN and CAP_BPF",
    ENODEV: "there is no such device",
}
