"""Which fast path a command uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from flowtable.capture import library as captures
from flowtable.datapath import library
from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath

if TYPE_CHECKING:
    from flowtable.flows.flowtable import DatapathFactory

NATIVE: Final = "native"
REFERENCE: Final = "reference"

DATAPATHS: Final[dict[str, DatapathFactory]] = {NATIVE: NativeDatapath, REFERENCE: ReferenceDatapath}
"""They forward alike; only their speed differs."""


def available(name: str) -> DatapathFactory:
    """The datapath of that name; the reference, and a notice, where its libraries cannot be loaded."""
    if name == NATIVE:
        try:
            library.load()
            captures.load()
        except OSError as error:
            click.echo(f"flowtable: no native datapath, the reference takes its place: {error}", err=True)
            return DATAPATHS[REFERENCE]
    return DATAPATHS[name]
