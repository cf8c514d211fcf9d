"""How a command ends that cannot do what it was asked."""

from __future__ import annotations

from typing import IO, Any

import click


class InputError(click.ClickException):
    """Bad input: the message goes to standard error as it is, and the exit code is 1.

    The messages of rulesets, box files and captures begin with the place that they are about;
    nothing is put in front of it.
    """

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(self.format_message(), file=file, err=True)
