"""``flowtable conntrack``: the connections of this host, those on the fast path as what they are."""

from __future__ import annotations

from contextlib import contextmanager
from enum import Enum
from errno import EINVAL, ENOENT, EPERM
from typing import TYPE_CHECKING, Final

import click

from flowtable.cli import conntrack_commands as commands
from flowtable.cli.conntrack_commands import Task
from flowtable.cli.conntrack_options import LABELS, Filters, filter_options, label_names
from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD
from flowtable.cli.output import written
from flowtable.conntrack.listing import TOOL
from flowtable.live.conntrack_line import Style
from flowtable.live.ctnetlink.socket import BEGUN, DESTROYED, GROUPS, UPDATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FORMATS: Final = ("extended", "id", "timestamp", "ktimestamp", "labels")
_GROUPS: Final = {"ALL": GROUPS, "NEW": (BEGUN,), "UPDATES": (UPDATED,), "DESTROY": (DESTROYED,)}
_WORDS: Final = {
    ENOENT: "such conntrack doesn't exist",
    EINVAL: "invalid parameters",
    EPERM: "sorry, you must be root or get CAP_NET_ADMIN capability to do this",
}
"""Ref: conntrack-tools src/conntrack.c:err2str."""


_TUPLES: Final = ({"proto", "src", "dst"}, {"proto", "reply_src", "reply_dst"})


class Command(Enum):
    """What to do; the value is the long option."""

    DUMP = "--dump"
    GET = "--get"
    DELETE = "--delete"
    EVENT = "--event"
    FLUSH = "--flush"
    COUNT = "--count"
    STATS = "--stats"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-L", "--dump", "wanted", flag_value=Command.DUMP, multiple=True, help="List them.")
@click.option("-G", "--get", "wanted", flag_value=Command.GET, multiple=True, help="Show one.")
@click.option("-D", "--delete", "wanted", flag_value=Command.DELETE, multiple=True, help="Delete some.")
@click.option("-E", "--event", "wanted", flag_value=Command.EVENT, multiple=True, help="Show events.")
@click.option("-F", "--flush", "wanted", flag_value=Command.FLUSH, multiple=True, help="Delete all.")
@click.option("-C", "--count", "wanted", flag_value=Command.COUNT, multiple=True, help="Count them.")
@click.option("-S", "--stats", "wanted", flag_value=Command.STATS, multiple=True, help="Show statistics.")
@click.argument("table", default="conntrack")
@click.option("-z", "--zero", is_flag=True, help="With -L: set the counters to 0.")
@click.option(
    "-o", "--output", "formats", multiple=True, metavar="FORMAT,...", help=f"{', '.join(_FORMATS)}."
)
@click.option(
    "-e", "--event-mask", "events", metavar="EVENT,...", help="With -E: NEW, UPDATES, DESTROY, ALL."
)
@click.option("-b", "--buffer-size", "room", type=click.IntRange(1), help="With -E: of the socket, bytes.")
@filter_options
def conntrack(
    wanted: tuple[Command, ...],
    table: str,
    zero: bool,
    formats: tuple[str, ...],
    events: str | None,
    room: int | None,
    **options: str | None,
) -> None:
    """The connections of this host, as conntrack shows them, with the fast path's part in.

    Options and output are those of conntrack; one of the commands -L to -S has to be given.
    """
    if len(wanted) != 1:
        raise click.UsageError(f"One of {', '.join(each.value for each in Command)} has to be given.")
    (command,) = wanted
    if not table or not "conntrack".startswith(table):
        raise click.UsageError(f"{table}: of tables, only conntrack is shown here.")
    filters = Filters(**options)
    heard = _words("--event-mask", (events or "ALL",), _GROUPS)
    _check(command, filters, zero=zero, formats=bool(formats), events=events is not None or room is not None)
    shown = _words("--output", formats, _FORMATS)
    task = Task(
        filters.selection(),
        Style("extended" in shown, "id" in shown, "ktimestamp" in shown, _names(filters, shown)),
        "timestamp" in shown,
        zero,
        tuple(group for word in heard for group in _GROUPS[word]),
        room,
    )
    with written(STANDARD), _understood():
        count = _run(command, task)
    if not count and command in (Command.DELETE, Command.GET):
        raise click.exceptions.Exit(1)


def _check(command: Command, filters: Filters, *, zero: bool, formats: bool, events: bool) -> None:
    given = filters.given
    match command:
        case Command.COUNT | Command.STATS if given:
            raise click.UsageError(f"{command.value} takes no filters.")
        case Command.FLUSH if given not in ([], ["family"]):
            raise click.UsageError("--flush takes no filters but --family; --delete does.")
        case Command.GET if not {"proto"}.issubset(given) or not (
            {"src", "dst"}.issubset(given) or {"reply_src", "reply_dst"}.issubset(given)
        ):
            raise click.UsageError(
                "--get needs --proto, and --src and --dst, or --reply-src and --reply-dst."
            )
        case _:
            pass
    if zero and (command is not Command.DUMP or given):
        raise click.UsageError("--zero goes with --dump without filters.")
    if events and command is not Command.EVENT:
        raise click.UsageError("--event-mask and --buffer-size go with --event.")
    if formats and command in (Command.FLUSH, Command.COUNT, Command.STATS):
        raise click.UsageError(f"{command.value} has no formats.")


def _words(option: str, given: tuple[str, ...], known: tuple[str, ...] | Mapping[str, object]) -> list[str]:
    words = [word for each in given for word in each.split(",")]
    for word in words:
        if word not in known:
            raise click.UsageError(f"{option} {word}: it is one of {', '.join(known)}.")
    return words


def _names(filters: Filters, shown: list[str]) -> Mapping[int, str] | None:
    if "labels" not in shown:
        return None
    names = label_names()
    if names is None:
        click.echo(f"{LABELS}: there are no names of labels, none are shown", err=True)
    return names


@contextmanager
def _understood() -> Iterator[None]:
    """Errors of Linux in the words that conntrack has for them."""
    try:
        yield
    except OSError as error:
        if error.errno not in _WORDS:
            raise
        raise InputError(f"{TOOL}: Operation failed: {_WORDS[error.errno]}") from None


def _run(command: Command, task: Task) -> int:
    match command:
        case Command.DUMP:
            return commands.dump(task)
        case Command.GET:
            return commands.get(task)
        case Command.DELETE:
            return commands.delete(task)
        case Command.EVENT:
            return commands.events(task)
        case Command.FLUSH:
            return commands.flush(task)
        case Command.COUNT:
            return commands.count(task)
        case Command.STATS:
            return commands.statistics(task)
