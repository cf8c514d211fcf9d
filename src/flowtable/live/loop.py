"""The loop of a service: waits for whatever comes first, and hands it to who it is for."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import ExitStack, closing
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import TYPE_CHECKING, Final

from flowtable.clock import SECOND
from flowtable.live.answers import answers, status
from flowtable.live.control import Event, Monitor, Stop
from flowtable.live.endpoint import CLIENTS, Endpoint, Peer
from flowtable.live.load import LoadError
from flowtable.live.metrics import CLIENTS as SCRAPERS
from flowtable.live.metrics import MetricsEndpoint, Scraper, exposition
from flowtable.live.place import socket_path
from flowtable.live.systemd import notify

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from flowtable.live.control import Request
    from flowtable.live.service import Service

_LONGEST: Final = 1.0
"""Seconds that it waits at most."""


class Loop:
    """Runs a service until it is told to stop."""

    def __init__(self, service: Service, metrics: tuple[str, int] | None = None) -> None:
        """Make ready to run.

        Args:
            service: what to run.
            metrics: host and port at which to hand out metrics, None for nowhere.

        Raises:
            OSError: a socket cannot be made.
        """
        self._service = service
        self._clients: dict[Peer | Scraper, None] = {}
        self._stop: Stop | None = None
        self._stopper: Peer | None = None
        self._signals: list[int] = []
        self._metrics = None if metrics is None else MetricsEndpoint(*metrics)
        self._endpoint = Endpoint(socket_path())

    def run(self) -> None:
        """Serve, until a request or a signal ends it."""
        service = self._service
        with ExitStack() as stack:
            stack.callback(self._hang_up)
            stack.enter_context(closing(self._endpoint))
            self._selector = stack.enter_context(DefaultSelector())
            self._woken = stack.enter_context(closing(self._catch_signals(stack)))
            # In this order: who routes a flow has to know the routes that were there before it.
            self._sources: dict[int, Callable[[], None]] = {
                self._woken.fileno(): self._signalled,
                service.mirror.fileno(): service.mirror.read,
                service.connections.fileno(): service.connections.read,
                service.datapath.fileno(): self._poll,
                service.generations.fileno(): service.rules_changed,
                self._endpoint.fileno(): self._connected,
            }
            if service.ipsec.descriptor is not None:
                self._sources[service.ipsec.descriptor] = service.policies_changed
            if self._metrics is not None:
                stack.enter_context(closing(self._metrics))
                self._sources[self._metrics.fileno()] = self._scraped
            for fd in self._sources:
                self._selector.register(fd, EVENT_READ)
            notify("READY=1", "STATUS=serving")
            while self._stop is None:
                self._turn()
            notify("STOPPING=1")
            service.close(keep_rules=self._stop.keep_rules)
            if self._stopper is not None:
                self._stopper.answer(iter(()))

    def _turn(self) -> None:
        """Wait for something and do it."""
        ready = {key.fd: key for key, _ in self._selector.select(self._patience())}
        for fd, read in self._sources.items():
            if fd in ready:
                read()
        for key in ready.values():
            match key.fileobj:
                case Peer() as peer:
                    self._hear(peer)
                case Scraper() as scraper:
                    scraper.read(lambda: exposition(status(self._service)))
                case _:
                    pass
        self._service.advance(time.monotonic_ns())
        for client in list(self._clients):
            self._look_after(client)

    def _patience(self) -> float:
        due = self._service.next_due
        if due is None:
            return _LONGEST
        return min(max((due - time.monotonic_ns()) / SECOND, 0), _LONGEST)

    def _catch_signals(self, stack: ExitStack) -> socket.socket:
        """Have signals wake the loop: a socket that is readable then."""
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        stack.callback(waker.close)
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(waker.fileno()))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            stack.callback(signal.signal, number, signal.signal(number, self._note))
        return woken

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _signalled(self) -> None:
        self._woken.recv(4096)
        while self._signals:
            if self._signals.pop(0) != signal.SIGHUP:
                self._stop = Stop()
                continue
            notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                self._service.reload(None)
            except LoadError as error:
                self._service.journal.trouble(f"not reloaded: {error}")
            notify("READY=1")

    def _poll(self) -> None:
        self._service.datapath.poll(time.monotonic_ns())

    def _connected(self) -> None:
        peer = self._endpoint.accept()
        if peer is None:
            return
        if sum(isinstance(client, Peer) for client in self._clients) >= CLIENTS:
            peer.fail(f"{CLIENTS} clients are connected already")
            peer.close()
            return
        self._clients[peer] = None
        self._selector.register(peer, EVENT_READ)

    def _scraped(self) -> None:
        assert self._metrics is not None
        scraper = self._metrics.accept()
        if scraper is None:
            return
        others = [client for client in self._clients if isinstance(client, Scraper)]
        if len(others) >= SCRAPERS:
            others[0].close()
        self._clients[scraper] = None
        self._selector.register(scraper, EVENT_READ)

    def _hear(self, peer: Peer) -> None:
        request = peer.read()
        if request is not None:
            self._answer(peer, request)

    def _answer(self, peer: Peer, request: Request) -> None:
        match request:
            case Stop():
                self._stop, self._stopper = request, peer
            case Monitor():
                peer.monitors = True
                self._service.journal.tell = self._tell
                peer.tell(Event(time.time(), "watching", text="what happens from now on"))
            case _:
                try:
                    peer.answer(answers(self._service, request))
                except LoadError as error:
                    peer.fail(str(error))

    def _tell(self, event: Event) -> None:
        for client in self._clients:
            if isinstance(client, Peer) and client.monitors:
                client.tell(event)

    def _look_after(self, client: Peer | Scraper) -> None:
        if client.busy:
            client.write()
        if client.closed:
            del self._clients[client]
            self._selector.unregister(client)
            if not any(isinstance(each, Peer) and each.monitors for each in self._clients):
                self._service.journal.tell = None
        else:
            self._selector.modify(client, EVENT_READ | (EVENT_WRITE if client.busy else 0))

    def _hang_up(self) -> None:
        for client in self._clients:
            client.close()
