"""How a service is, for Prometheus: its text format, and as much of HTTP as it takes to hand it out.

What is not measured is absent.

Ref: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowtable.live.control import Status

CLIENTS: Final = 16
"""How many may be connected at once; the one that has been for the longest gives way."""
REQUEST_LIMIT: Final = 8192
"""Bytes of a request."""
_READ: Final = 4096
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def exposition(status: Status) -> str:
    """A status as Prometheus reads it."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: Status) -> Iterator[str]:
    yield from _family("flowtable_info", "gauge", "The service.", [((("version", status.version),), 1)])
    yield from _family("flowtable_uptime_seconds", "gauge", "Since the service began.", [((), status.uptime)])
    yield from _family(
        "flowtable_flows",
        "gauge",
        "Flows on the fast path.",
        [
            ((("family", each.family), ("table", each.table), ("flowtable", each.name)), each.flows)
            for each in status.flowtables
        ],
    )
    yield from _family(
        "flowtable_flows_capacity", "gauge", "Flows for which there is room.", [((), status.capacity)]
    )
    yield from _family("flowtable_flows_added_total", "counter", "Flows added so far.", [((), status.added)])
    for name, kind, text, counts in (
        ("flowtable_flows_ended_total", "counter", "Flows that ended, by reason.", status.ended),
        (
            "flowtable_connections_refused",
            "gauge",
            "Connections that are refused, by reason.",
            status.refusals,
        ),
        (
            "flowtable_packets_total",
            "counter",
            "Packets at the fast path, by what became of them.",
            status.packets,
        ),
    ):
        yield from _family(name, kind, text, [((("reason", each.name),), each.count) for each in counts])
    yield from _family(
        "flowtable_device_attached",
        "gauge",
        "Devices of flowtables: whether the fast path runs there, and where.",
        [
            ((("device", each.name), ("place", each.where or "")), int(each.where is not None))
            for each in status.devices
        ],
    )
    yield from _family(
        "flowtable_overruns_total",
        "counter",
        "How often the kernel had more to say than was read.",
        [((), status.overruns)],
    )


def _family(
    name: str, kind: str, text: str, samples: list[tuple[tuple[tuple[str, str], ...], float]]
) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        listed = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels)
        yield f"{name}{{{listed}}} {value}" if listed else f"{name} {value}"


def _escaped(content: str) -> str:
    return content.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def response(request: bytes, content: Callable[[], str]) -> bytes:
    """The answer to an HTTP request.

    Args:
        request: what came, at least up to the end of its headers.
        content: makes what is handed out.
    """
    first = request.split(b"\r\n", 1)[0].split(b" ")
    if len(first) != 3 or not first[2].startswith(b"HTTP/1."):
        return _answer("400 Bad Request", "This is for Prometheus.\n")
    method, path, _ = first
    if path.split(b"?", 1)[0] != b"/metrics":
        return _answer("404 Not Found", "Metrics are at /metrics.\n")
    if method not in (b"GET", b"HEAD"):
        return _answer("405 Method Not Allowed", "Metrics are only read.\n")
    return _answer("200 OK", content(), body=method == b"GET")


def _answer(status: str, text: str, *, body: bool = True) -> bytes:
    content = text.encode()
    fields = {"Content-Type": _TYPE, "Content-Length": len(content), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + (content if body else b"")


class MetricsEndpoint:
    """Where metrics are handed out."""

    def __init__(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the address is not the host's, or taken.
        """
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self._socket = socket.create_server(address[:2], family=family)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable when someone connects."""
        return self._socket.fileno()

    def accept(self) -> Scraper | None:
        """Who connected, if somebody did."""
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return None
        connection.setblocking(False)
        return Scraper(connection)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


class Scraper:
    """Somebody who reads metrics once.

    Attributes:
        closed: whether there is nothing more to do for it.
        busy: whether there is something to send.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.closed = False
        self._socket = connection
        self._in = b""
        self._out = b""

    @property
    def busy(self) -> bool:
        """Whether there is something to send."""
        return bool(self._out)

    def fileno(self) -> int:
        """Its socket."""
        return self._socket.fileno()

    def read(self, content: Callable[[], str]) -> None:
        """Take in what came, and answer once the request is whole."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._in += data
        if not data or len(self._in) > REQUEST_LIMIT:
            self.close()
        elif b"\r\n\r\n" in self._in and not self._out:
            self._out = response(self._in, content)
            self.write()

    def write(self) -> None:
        """Send what there is to send, and hang up behind it."""
        try:
            self._out = self._out[self._socket.send(self._out) :]
        except BlockingIOError:
            return
        except OSError:
            self._out = b""
        if not self._out:
            self.close()

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self._out = b""
        self._socket.close()
