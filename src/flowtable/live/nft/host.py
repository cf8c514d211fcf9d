"""The machine that the drop-in runs on."""

from __future__ import annotations

import os
import socket
import subprocess
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from flowtable.live.client import Client, ServiceError
from flowtable.live.declared import declared
from flowtable.live.doctor.probe import has_flowtable
from flowtable.live.mark import Carrier
from flowtable.live.nft.dropin import Finished, about_flows, changed, folders, listed
from flowtable.live.nft.program import NOT_INSTALLED, real_nft
from flowtable.live.spawn import spawn

if TYPE_CHECKING:
    from flowtable.live.nft.arguments import Arguments
    from flowtable.live.record import Kept


def drive(arguments: Arguments, text: str) -> Finished | None:
    """Do what nft was called for on this machine, if it is about flowtables.

    Args:
        arguments: how it was called.
        text: the commands.

    Returns:
        None if it is not.
    """
    if not about_flows(text, folders(arguments)) or has_flowtable():
        return None
    carrier = os.environ.get("FLOWTABLE_CARRIER", Carrier.LABEL.value)
    if carrier not in (each.value for each in Carrier):
        return Finished(1, errors=f"FLOWTABLE_CARRIER: expected label or mark, got {carrier!r}\n")
    return changed(Machine(), arguments, text, Carrier(carrier))


def rejoin(arguments: Arguments, text: str, output: str) -> str:
    """Put flowtables into what nft printed on this machine."""
    return listed(Machine(), arguments, text, output)


class Machine:
    """This machine, in the network namespace of this process."""

    def nft(self, *arguments: str, text: str | None = None) -> Finished:
        """Run the real nft.

        Args:
            arguments: its options, and words where there is no text.
            text: what it loads. It reads that from a file, for with ``--json`` it reads twice.
        """
        if text is None:
            return _run(*arguments)
        with NamedTemporaryFile("w", encoding="utf-8", errors="surrogateescape", suffix=".nft") as file:
            file.write(text)
            file.flush()
            done = _run(*arguments, "--file", file.name)
        return Finished(done.status, done.output, done.errors.replace(file.name, "/dev/stdin"))

    def flowtables(self) -> tuple[Kept, ...]:
        """The flowtables that the kernel remembers."""
        return declared().flowtables

    def devices(self) -> frozenset[str]:
        """The names of the devices."""
        return frozenset(name for _, name in socket.if_nameindex())

    def serve(self) -> None:
        """See to it that a service runs."""
        try:
            Client().close()
        except ServiceError:
            spawn("--no-rules")


def _run(*arguments: str) -> Finished:
    program = real_nft()
    if program is None:
        return Finished(1, errors=f"{NOT_INSTALLED}\n")
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, errors="surrogateescape"
    )
    return Finished(done.returncode, done.stdout, done.stderr)
