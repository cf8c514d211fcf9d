"""The options of all commands that read a ruleset file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    F = TypeVar("F", bound=Callable[..., Any])

SOURCE: Final = click.Path(exists=True, dir_okay=False, allow_dash=True)
"""A file that is read, or standard input."""


def ruleset_options(command: F) -> F:
    """Give a command the options ``--includepath`` and ``--define``."""
    for decorate in (
        click.option(
            "--define",
            "-D",
            "defines",
            metavar="NAME=VALUE",
            multiple=True,
            callback=_defines,
            help="A variable of the ruleset. Repeatable.",
        ),
        click.option(
            "--includepath",
            "-I",
            "folders",
            metavar="DIR",
            multiple=True,
            type=click.Path(exists=True, file_okay=False),
            help="A folder to look for included files in. Repeatable.",
        ),
    ):
        command = decorate(command)
    return command


def _defines(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        name, equals, content = value.partition("=")
        if not (name and equals and content) or "\n" in value:
            raise click.BadParameter(f"expected NAME=VALUE, got {value!r}.", ctx, param)
    return values
