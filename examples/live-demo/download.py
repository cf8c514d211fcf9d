"""A server that sends many bytes to whoever connects, and a client that counts them."""

from __future__ import annotations

import socket
import sys
import time

MEGABYTE = 1 << 20


def serve(address: str, port: int, megabytes: int) -> None:
    """Send to one client after the other, and wait for each to hang up."""
    with socket.create_server((address, port)) as server:
        print(f"listening on {address} port {port}", flush=True)
        while True:
            connection, peer = server.accept()
            print(f"it sees {peer[0]} port {peer[1]}", flush=True)
            with connection:
                for _ in range(megabytes):
                    connection.sendall(bytes(MEGABYTE))
                connection.recv(1)


def fetch(address: str, port: int, megabytes: int) -> None:
    """Receive everything; the connection stays until this process is ended."""
    with socket.create_connection((address, port)) as connection:
        started = time.monotonic()
        buffer = bytearray(MEGABYTE)
        count = 0
        while count < megabytes * MEGABYTE and (size := connection.recv_into(buffer)):
            count += size
        took = time.monotonic() - started
        print(f"{count / MEGABYTE:.0f} MB in {took:.2f} s, {count * 8e-9 / took:.2f} Gbit/s", flush=True)
        time.sleep(3600)


if __name__ == "__main__":
    role, address, port, megabytes = sys.argv[1:]
    {"serve": serve, "fetch": fetch}[role](address, int(port), int(megabytes))
