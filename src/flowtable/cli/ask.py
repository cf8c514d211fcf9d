"""Talking to the service of this network namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.cli.error import InputError
from flowtable.live.client import Client, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowtable.live.control import Answer, Request


def ask(request: Request) -> Iterator[Answer]:
    """What the service answers, as it comes.

    Raises:
        InputError: there is no service, or it says why it does not answer.
    """
    try:
        with Client() as client:
            yield from client.ask(request)
    except ServiceError as error:
        raise InputError(str(error)) from None
