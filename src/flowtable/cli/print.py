"""``flowtable print``: a ruleset in nft's normal form."""

from __future__ import annotations

import grp
import pwd
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from flowtable.cli.error import InputError
from flowtable.cli.load import STANDARD, load_ruleset
from flowtable.cli.output import open_output, write_lines
from flowtable.cli.ruleset_options import SOURCE, ruleset_options
from flowtable.ruleset import RulesetError, execute, print_ruleset
from flowtable.ruleset.json.writer import print_json
from flowtable.ruleset.style import NftVersion, Style, styled

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.ruleset import Ruleset

_QUERIES: Final = ("list", "get", "reset", "describe")


@click.command("print", context_settings={"ignore_unknown_options": False})
@click.argument("ruleset", type=SOURCE)
@click.argument("query", metavar="[COMMAND...]", nargs=-1)
@click.option("--json", "-j", "as_json", is_flag=True, help="As JSON, in libnftables' schema.")
@click.option("--handle", "-a", "handles", is_flag=True, help="With handles.")
@click.option("--stateless", "-s", is_flag=True, help="Without counts.")
@click.option("--terse", "-t", is_flag=True, help="Without the elements of sets.")
@click.option("--numeric", "-n", count=True, help="Everything that has a name as a number.")
@click.option("--numeric-priority", "-y", is_flag=True, help="Priorities as numbers.")
@click.option("--numeric-protocol", "-p", is_flag=True, help="Internet protocols as numbers.")
@click.option("--numeric-time", "-T", is_flag=True, help="Times as seconds.")
@click.option("--guid", "-u", is_flag=True, help="Users and groups by their names on this machine.")
@click.option("--service", "-S", is_flag=True, help="Ports by the names of their services.")
@click.option(
    "--nft-version",
    type=click.Choice([version.value for version in NftVersion]),
    default=NftVersion.V1_0_6.value,
    show_default=True,
    help="Whose listings, where versions differ.",
)
@ruleset_options
def print_command(
    ruleset: str,
    query: tuple[str, ...],
    as_json: bool,
    handles: bool,
    stateless: bool,
    terse: bool,
    numeric: int,
    numeric_priority: bool,
    numeric_protocol: bool,
    numeric_time: bool,
    guid: bool,
    service: bool,
    nft_version: str,
    folders: tuple[str, ...],
    defines: tuple[str, ...],
) -> None:
    """Print RULESET as nft would list it once it is loaded.

    COMMAND says what to print in nft's words, such as 'list chain inet filter forward'; without
    it, all is printed. RULESET is text or JSON; - is standard input.
    """  # fmt: skip
    if query and query[0] not in _QUERIES:
        raise click.UsageError(f"COMMAND starts with {', '.join(_QUERIES)}; got {query[0]!r}.")
    style = Style(
        priorities=bool(numeric) or numeric_priority,
        protocols=bool(numeric) or numeric_protocol,
        symbols=bool(numeric),
        services=service,
        seconds=bool(numeric) or numeric_time,
        users={user.pw_uid: user.pw_name for user in pwd.getpwall()} if guid else {},
        groups={group.gr_gid: group.gr_name for group in grp.getgrall()} if guid else {},
        version=NftVersion(nft_version),
    )
    rules, _ = load_ruleset(ruleset, folders=folders, defines=defines)
    show: Callable[[Ruleset], str]
    if as_json:
        show = partial(print_json, stateless=stateless, terse=terse)
    else:
        show = partial(print_ruleset, stateless=stateless, handles=handles, terse=terse)
    with styled(style):
        text = _answer(rules, " ".join(query) or "list ruleset", show)
    with ExitStack() as stack:
        write_lines(STANDARD, open_output(STANDARD, stack), text.splitlines())


def _answer(rules: Ruleset, query: str, show: Callable[[Ruleset], str]) -> str:
    try:
        return execute(rules, f"{query}\n", "command line", show=show).output
    except RulesetError as error:
        raise InputError(str(error)) from None
