"""``flowtable nft``: nft with flowtables, on kernels without them."""

from __future__ import annotations

import sys

import click

from flowtable.live.nft.main import run


@click.command(
    "nft",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def nft(arguments: tuple[str, ...]) -> None:
    """Run nft; flowtables and flow add work on this kernel too, and listings show them.

    ARGUMENTS are those of nft. A symbolic link to flowtable that is called nft does the same.
    """  # fmt: skip
    sys.exit(run(list(arguments)))
