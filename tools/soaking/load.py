"""Both ends of the load: connections that last, connections that do not, and datagrams.

usage: load.py serve ADDRESS PORT... | load.py connect ADDRESS LASTING PORT...

The client sends blocks of random bytes over TCP and holds what comes back against them. It says on
standard output, a line each, when a connection breaks or stands still, and when it is told to end
(a line on standard input) how many blocks came back. To UDP port 6001 it sends fifty datagrams a second.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from contextlib import suppress
from typing import cast

DATAGRAMS = 6001
PATIENCE = 40.0
"""Seconds without an answer after which a connection stands still: TCP waits longer and longer."""
BLOCK = 1 << 16


class Echo(asyncio.DatagramProtocol):
    """Answers datagrams."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Know where to answer."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        self._transport.sendto(data, addr)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, to its end."""
    with suppress(ConnectionError):
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(address: str, ports: list[int]) -> None:
    """Answer until this is killed."""
    for port in ports:
        await asyncio.start_server(answer, address, port)
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, (address, DATAGRAMS))
    print("listening", flush=True)
    await asyncio.Event().wait()


class Client:
    """Keeps connections busy."""

    def __init__(self, address: str, ports: list[int]) -> None:
        self.address = address
        self.ports = ports
        self.blocks = 0
        self.connections = 0

    async def lasting(self, number: int) -> None:
        """One connection, for good."""
        port = self.ports[number % len(self.ports)]
        await self._talk(f"connection {number} to port {port}", port, None)

    async def short(self, port: int) -> None:
        """One connection after the other, of a few blocks each."""
        while True:
            await self._talk(f"short connection to port {port}", port, random.randint(1, 4))
            self.connections += 1
            await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _talk(self, name: str, port: int, blocks: int | None) -> None:
        doing = "connecting"
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(self.address, port), PATIENCE)
            while blocks is None or blocks > 0:
                block = os.urandom(random.randint(1, BLOCK))
                doing = f"sending {len(block)} bytes"
                writer.write(block)
                back = await asyncio.wait_for(reader.readexactly(len(block)), PATIENCE)
                if back != block:
                    print(f"{name}: what came back differs", flush=True)
                self.blocks += 1
                blocks = None if blocks is None else blocks - 1
                await asyncio.sleep(random.uniform(0.01, 0.2))
            writer.close()
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            print(f"{name}: {doing}: {type(error).__name__} {error}", flush=True)

    async def datagrams(self) -> None:
        """Fifty a second."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(self.address, DATAGRAMS)
        )
        while True:
            transport.sendto(b"x" * 100)
            await asyncio.sleep(0.02)


async def connect(address: str, lasting: int, ports: list[int]) -> None:
    """Keep everything busy until a line comes in."""
    client = Client(address, ports)
    work = [client.lasting(number) for number in range(lasting)]
    work += [client.short(port) for port in ports]
    tasks = [asyncio.create_task(each) for each in (*work, client.datagrams())]
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks:
        task.cancel()
    print(f"done {client.blocks} {client.connections}", flush=True)


def main(role: str, address: str, *numbers: str) -> None:
    """Run one end."""
    values = [int(number) for number in numbers]
    asyncio.run(serve(address, values) if role == "serve" else connect(address, values[0], values[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
