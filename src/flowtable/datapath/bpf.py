"""BPF objects, maps and programs, through libbpf.

As much of libbpf as the fast path needs. Everything is released when its Python object is, so
that a process that ends takes its programs off the devices with it.

Ref: tools/lib/bpf/libbpf.h, tools/lib/bpf/bpf.h; include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    Structure,
    addressof,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
    create_string_buffer,
    get_errno,
    sizeof,
    string_at,
)
from errno import errorcode
from functools import cache
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K", bound=Any)
V = TypeVar("V", bound=Any)

LIBRARY: Final = "libbpf.so.1"
"""Comes with Debian's iproute2."""
LOG_SIZE: Final = 1 << 20
LOG_LINES: Final = 30
"""How much of the verifier's log an error shows: its end says what is wrong."""

NO_PREALLOC: Final = 1 << 0
"""A map takes memory for a value only when it gets it. Ref: BPF_F_NO_PREALLOC."""
MMAPABLE: Final = 1 << 10
"""An array whose memory processes may share. Ref: BPF_F_MMAPABLE."""

_ENOENT: Final = 2
_LINK_INFO: Final = 16
"""Words of ``struct bpf_link_info`` that are asked for."""
_LINK_DEVICE: Final = 4
"""The one behind type, number, program and a gap."""
_TEST_XDP_LIVE_FRAMES: Final = 1 << 1


class BpfError(OSError):
    """The kernel or libbpf refused something; ``str()`` ends with what the verifier said, if it did."""


class _TestRun(Structure):
    """Ref: struct bpf_test_run_opts."""

    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


class _LinkCreate(Structure):
    """Ref: struct bpf_link_create_opts, as far as network devices need it."""

    _fields_ = (
        ("sz", c_size_t),
        ("flags", c_uint32),
        ("iter_info", c_void_p),
        ("iter_info_len", c_uint32),
        ("target_btf_id", c_uint32),
        ("cookie", c_uint64),
    )


class XdpContext(Structure):
    """Ref: struct xdp_md."""

    _fields_ = (
        ("data", c_uint32),
        ("data_end", c_uint32),
        ("data_meta", c_uint32),
        ("ingress_ifindex", c_uint32),
        ("rx_queue_index", c_uint32),
        ("egress_ifindex", c_uint32),
    )


_OnRecord = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)
"""Called with a context, a record and its size. Ref: ring_buffer_sample_fn."""

_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "libbpf_set_print": (c_void_p, (c_void_p,)),
    "bpf_object__open_mem": (c_void_p, (c_char_p, c_size_t, c_void_p)),
    "bpf_object__load": (c_int, (c_void_p,)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__find_map_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_object__next_map": (c_void_p, (c_void_p, c_void_p)),
    "bpf_object__find_program_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_map__name": (c_char_p, (c_void_p,)),
    "bpf_map__fd": (c_int, (c_void_p,)),
    "bpf_map__set_max_entries": (c_int, (c_void_p, c_uint32)),
    "bpf_map__set_map_flags": (c_int, (c_void_p, c_uint32)),
    "bpf_map__set_initial_value": (c_int, (c_void_p, c_void_p, c_size_t)),
    "bpf_map_update_elem": (c_int, (c_int, c_void_p, c_void_p, c_uint64)),
    "bpf_map_lookup_elem": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_map_delete_elem": (c_int, (c_int, c_void_p)),
    "bpf_map_get_next_key": (c_int, (c_int, c_void_p, c_void_p)),
    "bpf_program__fd": (c_int, (c_void_p,)),
    "bpf_program__set_log_buf": (c_int, (c_void_p, c_void_p, c_size_t)),
    "bpf_program__set_log_level": (c_int, (c_void_p, c_uint32)),
    "bpf_prog_test_run_opts": (c_int, (c_int, POINTER(_TestRun))),
    "bpf_obj_get_info_by_fd": (c_int, (c_int, c_void_p, POINTER(c_uint32))),
    "bpf_link_create": (c_int, (c_int, c_int, c_int, POINTER(_LinkCreate))),
    "libbpf_num_possible_cpus": (c_int, ()),
    "ring_buffer__new": (c_void_p, (c_int, _OnRecord, c_void_p, c_void_p)),
    "ring_buffer__consume": (c_int, (c_void_p,)),
    "ring_buffer__epoll_fd": (c_int, (c_void_p,)),
    "ring_buffer__free": (None, (c_void_p,)),
}


@cache
def _library() -> CDLL:
    """Libbpf.

    Raises:
        BpfError: it is not installed.
    """
    try:
        library = CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise BpfError(f"{LIBRARY} is not there (Debian: apt-get install libbpf1): {error}") from None
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    library.libbpf_set_print(None)
    return library


def _check(result: int, what: str, log: str = "") -> int:
    if result >= 0:
        return result
    number = get_errno() or -result
    raise BpfError(number, f"{what}: {errorcode.get(number, number)}" + (f"\n{log}" if log else ""))


class Map(Generic[K, V]):
    """A map with keys and values of two ctypes types."""

    __slots__ = ("_key", "_library", "_object", "_value", "fd", "name")

    def __init__(self, owner: BpfObject, name: str, key: type[K], value: type[V]) -> None:
        """A map of a loaded object; the types are as large as what it holds, or larger."""
        self._object = owner
        self._library = _library()
        self._key = key
        self._value = value
        self.name = name
        self.fd = owner.map_fd(name)

    def set(self, key: K, value: V) -> None:
        """Add or replace a value.

        Raises:
            BpfError: the map is full (E2BIG), or the kernel has no memory.
        """
        _check(
            self._library.bpf_map_update_elem(self.fd, byref(key), byref(value), 0),
            f"map {self.name}",
        )

    def get(self, key: K) -> V | None:
        """The value of a key."""
        value: V = self._value()
        found = self._library.bpf_map_lookup_elem(self.fd, byref(key), byref(value)) >= 0
        return value if found else None

    def delete(self, key: K) -> bool:
        """Forget a key; False if it was not there."""
        return int(self._library.bpf_map_delete_elem(self.fd, byref(key))) >= 0

    def keys(self) -> Iterator[K]:
        """The keys, in no order. One that is added meanwhile may be missed."""
        last: K | None = None
        while True:
            key = self._key()
            if self._library.bpf_map_get_next_key(self.fd, None if last is None else byref(last), byref(key)):
                return
            yield key
            last = key


class Program:
    """A loaded program."""

    __slots__ = ("_library", "_object", "fd", "name")

    def __init__(self, owner: BpfObject, name: str) -> None:
        self._object = owner
        self._library = _library()
        self.name = name
        self.fd = owner.program_fd(name)

    def run(self, frame: bytes, iif: int = 0, *, repeat: int = 1, room: int = 256) -> tuple[int, bytes, int]:
        """Run the program on a frame, attached to nothing: BPF_PROG_TEST_RUN.

        Args:
            frame: from the destination MAC on; at least 14 bytes.
            iif: the device it is to have come in on, 0 for the loopback device; for XDP programs only.
            repeat: how often to run it, each time on what the last time left.
            room: how much longer than it came a frame may leave.

        Returns:
            What the program returned the last time, the frame as it left it, and how long a run
            took on average, nanoseconds.

        Raises:
            BpfError: the kernel refused to run it.
        """
        came = create_string_buffer(frame, len(frame))
        left = create_string_buffer(len(frame) + room)
        context = XdpContext(data_end=len(frame), ingress_ifindex=iif)
        options = _TestRun(
            sz=sizeof(_TestRun),
            data_in=addressof(came),
            data_size_in=len(frame),
            data_out=addressof(left),
            data_size_out=len(left),
            ctx_in=addressof(context) if iif else None,
            ctx_size_in=sizeof(context) if iif else 0,
            repeat=repeat,
        )
        _check(self._library.bpf_prog_test_run_opts(self.fd, byref(options)), f"running {self.name}")
        return options.retval, left.raw[: options.data_size_out], options.duration

    def send(self, frame: bytes, count: int) -> None:
        """Run the program on so many copies of a frame, and do with each what it returns.

        The pages of frames that were dropped or read come back as they are then.

        Raises:
            BpfError: the kernel refused to run it.
        """
        came = create_string_buffer(frame, len(frame))
        options = _TestRun(
            sz=sizeof(_TestRun),
            data_in=addressof(came),
            data_size_in=len(frame),
            repeat=count,
            flags=_TEST_XDP_LIVE_FRAMES,
        )
        _check(self._library.bpf_prog_test_run_opts(self.fd, byref(options)), f"running {self.name}")


class BpfObject:
    """A compiled object, from its opening to its closing."""

    __slots__ = ("__weakref__", "_handle", "_library")

    def __init__(self, image: bytes) -> None:
        """Open an object: its maps may still be given sizes, its data values.

        Raises:
            BpfError: it is no BPF object, or libbpf is missing.
        """
        self._library = _library()
        handle = self._library.bpf_object__open_mem(image, len(image), None)
        if not handle:
            raise BpfError(get_errno(), "not a BPF object")
        self._handle = handle
        weakref.finalize(self, self._library.bpf_object__close, handle)

    def set_size(self, name: str, entries: int, flags: int = 0) -> None:
        """Say how much a map holds, before loading."""
        described = self._map(name)
        _check(self._library.bpf_map__set_max_entries(described, entries), f"map {name}")
        if flags:
            _check(self._library.bpf_map__set_map_flags(described, flags), f"map {name}")

    def set_constants(self, value: Structure) -> None:
        """Fill in the read-only data, which is one structure, before loading."""
        described = self._library.bpf_object__next_map(self._handle, None)
        while described and not self._library.bpf_map__name(described).endswith(b".rodata"):
            described = self._library.bpf_object__next_map(self._handle, described)
        _check(
            self._library.bpf_map__set_initial_value(described, byref(value), sizeof(value)),
            "read-only data",
        )

    def load(self, *programs: str) -> None:
        """Have the kernel verify and take everything.

        Args:
            programs: the programs whose rejection is to be explained.

        Raises:
            BpfError: the kernel refused; with the end of the verifier's log.
        """
        logs = {name: create_string_buffer(LOG_SIZE) for name in programs}
        for name, log in logs.items():
            self._library.bpf_program__set_log_buf(self._program(name), log, LOG_SIZE)
        if self._library.bpf_object__load(self._handle) < 0:
            number = get_errno()
            lines = ["the kernel does not load the programs"]
            for name, log in logs.items():
                if log.value:
                    lines = [f"the kernel does not load {name}", *_last_lines(log.value)]
            raise BpfError(number, "\n".join(lines))

    def map_fd(self, name: str) -> int:
        """The file descriptor of a loaded map."""
        return int(self._library.bpf_map__fd(self._map(name)))

    def program_fd(self, name: str) -> int:
        """The file descriptor of a loaded program."""
        return int(self._library.bpf_program__fd(self._program(name)))

    def _map(self, name: str) -> int:
        found = self._library.bpf_object__find_map_by_name(self._handle, name.encode())
        if not found:
            raise BpfError(_ENOENT, f"no map {name}")
        return int(found)

    def _program(self, name: str) -> int:
        found = self._library.bpf_object__find_program_by_name(self._handle, name.encode())
        if not found:
            raise BpfError(_ENOENT, f"no program {name}")
        return int(found)


def possible_cpus() -> int:
    """How many values a per-CPU map has for a key."""
    return int(_library().libbpf_num_possible_cpus())


def _last_lines(log: bytes) -> list[str]:
    return log.decode("ascii", "replace").splitlines()[-LOG_LINES:]


def create_link(program: int, target: int, attach_type: int, flags: int) -> int:
    """Attach a program to something.

    Args:
        program: its file descriptor.
        target: what to attach it to, for a device its index.
        attach_type: how. Ref: include/uapi/linux/bpf.h:bpf_attach_type.
        flags: what that takes.

    Returns:
        The file descriptor of the link, or a negative error number.
    """
    options = _LinkCreate(sz=sizeof(_LinkCreate), flags=flags)
    fd = int(_library().bpf_link_create(program, target, attach_type, byref(options)))
    return fd if fd >= 0 else -(get_errno() or -fd)


def link_device(fd: int) -> int:
    """The index of the device that a link attaches its program to; 0 once somebody has detached it.

    Ref: include/uapi/linux/bpf.h:struct bpf_link_info; net/core/dev.c:bpf_xdp_link_fill_link_info.
    """
    information = (c_uint32 * _LINK_INFO)()
    size = c_uint32(sizeof(information))
    _check(_library().bpf_obj_get_info_by_fd(fd, byref(information), byref(size)), "link")
    return information[_LINK_DEVICE]


class RingBuffer:
    """Records that programs leave for this process.

    Attributes:
        fd: readable while there are any.
    """

    __slots__ = ("__weakref__", "_callback", "_handle", "_library", "_object", "_records", "fd")

    def __init__(self, owner: BpfObject, name: str) -> None:
        """Open a ring buffer of a loaded object.

        Raises:
            BpfError: there is no memory for it.
        """
        self._object = owner
        self._library = _library()
        self._records: list[bytes] = []
        self._callback = _OnRecord(self._keep)
        handle = self._library.ring_buffer__new(owner.map_fd(name), self._callback, None, None)
        if not handle:
            raise BpfError(get_errno(), f"ring buffer {name}")
        self._handle = handle
        self.fd = int(self._library.ring_buffer__epoll_fd(handle))
        weakref.finalize(self, self._library.ring_buffer__free, handle)

    def read(self) -> list[bytes]:
        """The records since the last time, oldest first."""
        _check(self._library.ring_buffer__consume(self._handle), "ring buffer")
        records, self._records[:] = self._records[:], []
        return records

    def _keep(self, _: int | None, data: int, size: int) -> int:
        self._records.append(string_at(data, size))
        return 0
