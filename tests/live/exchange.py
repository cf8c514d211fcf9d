"""Two ends of a TCP connection that send each other bytes when told to, and know which to expect."""

from __future__ import annotations

import hashlib
import socket
import sys
import threading

PIECE = 1 << 18


def content(name: str, size: int) -> bytes:
    """What one end sends."""
    unit = b"".join(hashlib.sha256(f"{name} {number}".encode()).digest() for number in range(1021))
    return (unit * (size // len(unit) + 1))[:size]


def exchange(connection: socket.socket, mine: str, theirs: str, size: int) -> None:
    """For each line of standard input send and receive everything; the connection ends with it."""
    sent, expected = content(mine, size), content(theirs, size)
    for _ in sys.stdin:
        sender = threading.Thread(target=connection.sendall, args=(sent,))
        sender.start()
        received = bytearray()
        while len(received) < size and (data := connection.recv(min(PIECE, size - len(received)))):
            received += data
        sender.join()
        print("identical" if received == expected else f"{len(received)} bytes differ", flush=True)


def main(role: str, address: str, port: int, size: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if role == "serve":
        with socket.create_server((address, port), family=family) as server:
            print("listening", flush=True)
            connection, peer = server.accept()
        with connection:
            connection.sendall(connection.recv(1))
            print(peer[0], flush=True)
            exchange(connection, "server", "client", size)
    else:
        with socket.create_connection((address, port)) as connection:
            connection.sendall(b"x")
            connection.recv(1)
            print("connected", flush=True)
            exchange(connection, "client", "server", size)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
