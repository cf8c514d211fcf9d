"""The drop-in as a program.

What is nothing but nft's own is done by nft before anything is read that takes long to load:
scripts call nft often.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from signal import SIG_DFL, SIGPIPE, signal
from typing import TYPE_CHECKING, NoReturn

from flowtable.live.nft.arguments import included, lists, mentions_flows, read_arguments, shows_flows
from flowtable.live.nft.program import NOT_INSTALLED, real_nft

if TYPE_CHECKING:
    from flowtable.live.nft.arguments import Arguments


def run(command_line: list[str]) -> int:
    """Run as nft.

    Args:
        command_line: what stands behind the name of the program.

    Returns:
        The exit status, unless the process becomes nft.
    """
    signal(SIGPIPE, SIG_DFL)  # nobody who has read enough is told so
    arguments = read_arguments(command_line)
    text = None if arguments is None or arguments.plain else _text(arguments)
    if arguments is None or text is None:
        return _become_nft(command_line)
    if arguments.standard:
        _give_back(text)
    if mentions_flows(text) or included(text):
        from flowtable.live.nft.host import drive  # it takes a while to load

        done = drive(arguments, text)
        if done is not None:
            sys.stderr.buffer.write(_bytes(done.errors))
            sys.stdout.buffer.write(_bytes(done.output))
            return done.status
    if lists(text) or "--echo" in arguments.names:
        return _list(arguments, command_line, text)
    return _become_nft(command_line)


def _text(arguments: Arguments) -> str | None:
    """The commands; None where nft itself is to say why they cannot be read."""
    if arguments.file is None:
        return " ".join(arguments.words)
    try:
        data = sys.stdin.buffer.read() if arguments.standard else Path(arguments.file).read_bytes()
    except OSError:
        return None
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _give_back(text: str) -> None:
    """Have standard input give once more what was read from it."""
    file = os.memfd_create("nft")
    os.write(file, _bytes(text))
    os.lseek(file, 0, os.SEEK_SET)
    os.dup2(file, 0)


def _program() -> str:
    program = real_nft()
    if program is None:
        sys.exit(NOT_INSTALLED)
    return program


def _become_nft(command_line: list[str]) -> NoReturn:
    os.execv(_program(), ["nft", *command_line])


def _list(arguments: Arguments, command_line: list[str], text: str) -> int:
    """Let nft list, and put flowtables into what it prints."""
    done = subprocess.run([_program(), *command_line], stdout=subprocess.PIPE, check=False)
    output = done.stdout.decode("utf-8", "surrogateescape")
    if shows_flows(output):
        from flowtable.live.nft.host import rejoin  # as above

        output = rejoin(arguments, text, output)
    sys.stdout.buffer.write(_bytes(output))
    return done.returncode
