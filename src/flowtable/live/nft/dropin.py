"""``nft`` on a kernel without flowtables.

What is about flowtables is checked here, as the kernel would; then nft loads what stands for it
(``live/split.py``), in one transaction with everything else, and a service is started where none
runs. Listings of nft come out with flowtables in them. All else is nft's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from flowtable.live.client import ServiceError
from flowtable.live.load import LoadError
from flowtable.live.mark import Carrier
from flowtable.live.nft.arguments import included, mentions_flows, shows_flows
from flowtable.live.nft.kernel import read_listing
from flowtable.live.nft.output import shown
from flowtable.live.split import SplitError, split
from flowtable.ruleset import Ruleset, RulesetError, execute, print_ruleset
from flowtable.ruleset.answer import answer
from flowtable.ruleset.command import AddFlowtable, AddTable, Kind
from flowtable.ruleset.files import Files
from flowtable.ruleset.json.writer import print_json
from flowtable.ruleset.query import Listing
from flowtable.ruleset.refused import ENOENT, EOPNOTSUPP, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from flowtable.live.nft.arguments import Arguments
    from flowtable.live.record import Kept
    from flowtable.ruleset.command import Command, FlowtableSyntax
    from flowtable.ruleset.include import Reader
    from flowtable.ruleset.transact import Outcome

_COMMAND_LINE: Final = "command line"
_NO_HARDWARE: Final = (
    "this kernel drives no hardware; without 'flags offload' flows take the fast path in software"
)
_SETS: Final = re.compile(r"list\s+sets\b")
_FROM_NOTHING: Final = re.compile(r"(?:\s|#[^\n]*\n)*flush\s+ruleset\s*[;\n]")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program came to: its exit status, and what it printed."""

    status: int
    output: str = ""
    errors: str = ""


class Host(Protocol):
    """What the drop-in needs of the machine."""

    def nft(self, *arguments: str, text: str | None = None) -> Finished:
        """Run the real nft; a text is what it loads, in place of ``--file`` and words."""
        ...

    def flowtables(self) -> tuple[Kept, ...]:
        """The flowtables that the kernel remembers.

        Raises:
            LoadError: nft cannot list them.
        """
        ...

    def devices(self) -> Collection[str]:
        """The names of the devices of this network namespace."""
        ...

    def serve(self) -> None:
        """See to it that a service runs.

        Raises:
            ServiceError: none can; with why.
        """
        ...


def listed(host: Host, arguments: Arguments, text: str, output: str) -> str:
    """Put flowtables into what nft printed.

    Args:
        host: the machine.
        arguments: how nft was called.
        text: the commands.
        output: what it printed.

    Returns:
        The same where the flowtables are not to be had any more.
    """
    try:
        flowtables = host.flowtables()
    except LoadError:
        return output
    sets = _SETS.search(text) is not None
    return shown(output, flowtables, as_json=arguments.json, sets=sets)


def about_flows(text: str, read: Reader) -> bool:
    """Whether a text, or one that it includes, may be about flowtables."""
    texts, seen = [text], set[str]()
    while texts:
        text = texts.pop()
        if mentions_flows(text):
            return True
        for pattern in included(text):
            if pattern not in seen:
                seen.add(pattern)
                texts += [content for _, content in _read(pattern, read)]
    return False


def _read(pattern: str, read: Reader) -> Sequence[tuple[str, str]]:
    """Included files; none where nft itself is to say why they cannot be read."""
    try:
        return read(pattern) or []
    except OSError:
        return []


def folders(arguments: Arguments) -> Files:
    """Where nft looks for included files."""
    return Files([*map(Path, arguments.folders), Path("/etc"), Path()])


def changed(host: Host, arguments: Arguments, text: str, carrier: Carrier = Carrier.LABEL) -> Finished:
    """Do what a text says that is about flowtables.

    Args:
        host: the machine.
        arguments: how nft was called.
        text: the commands.
        carrier: where new flowtables get the bit that marks their connections.
    """
    name = _name(arguments)
    try:
        known = host.flowtables()
        before = Ruleset()
        if _FROM_NOTHING.match(text) is None:
            before = read_listing(host.nft("--handle", "list", "ruleset").output, known)
        include = folders(arguments)
        outcome = execute(before, text, name, read_include=include, defines=arguments.defines)
        _check_devices(host, outcome.commands)
        parts = split(outcome, before, {each.key: each.mark for each in known}, carrier)
    except RulesetError as error:
        return Finished(1, errors=_located(f"{error}\n", name))
    except (LoadError, SplitError) as error:
        return Finished(1, errors=f"Error: {error}\n")
    listings = _flowtable_listings(arguments, outcome)
    if not parts.text.strip():
        return Finished(0, listings)
    done = _nft(host, arguments, parts.text)
    if shows_flows(done.output):
        done = Finished(done.status, listed(host, arguments, text, done.output), done.errors)
    if done.status:
        return done
    done = Finished(0, done.output + listings, done.errors)
    if not parts.flowtables or "--check" in arguments.names:
        return done
    try:
        host.serve()
    except ServiceError as error:
        return Finished(0, done.output, f"{done.errors}flowtable: flows stay on the classic path: {error}\n")
    return done


def _name(arguments: Arguments) -> str:
    """What nft calls the text in its errors."""
    if arguments.file is None:
        return _COMMAND_LINE
    return "/dev/stdin" if arguments.standard else arguments.file


def _located(errors: str, name: str) -> str:
    """Errors as nft prints them: those of a command line have no place in front."""
    if name != _COMMAND_LINE:
        return errors
    return re.sub(rf"^{name}:\d+:[\d-]+: ", "", errors, flags=re.MULTILINE)


def _nft(host: Host, arguments: Arguments, text: str) -> Finished:
    done = host.nft(*arguments.options, text=text)
    name = _name(arguments)
    return Finished(done.status, done.output, _located(done.errors.replace("/dev/stdin", name), name))


def _flowtable_listings(arguments: Arguments, outcome: Outcome) -> str:
    """What the commands print that list flowtables."""
    names = arguments.names
    show: Callable[[Ruleset], str] = partial(print_ruleset, handles="--handle" in names)
    if arguments.json:
        show = print_json
    queries = [each for each in outcome.commands if isinstance(each, Listing) and each.kind is Kind.FLOWTABLE]
    return "".join(answer(outcome.ruleset, query, show) for query in queries)


def _check_devices(host: Host, commands: Iterable[Command]) -> None:
    """Refuse what the kernel would.

    Raises:
        RulesetError: a flowtable is to be on a device that is not there, or in hardware.
    """
    here = host.devices()
    for declared in _declared(commands):
        missing = sorted(set(declared.devices).difference(here))
        if missing:
            raise refused(ENOENT, declared.span, f"there is no device {', '.join(missing)}")
        if declared.offload:
            raise refused(EOPNOTSUPP, declared.span, _NO_HARDWARE)


def _declared(commands: Iterable[Command]) -> Iterator[FlowtableSyntax]:
    for command in commands:
        match command:
            case AddTable(block=block):
                yield from block.flowtables
            case AddFlowtable(flowtable=flowtable):
                yield flowtable
            case _:
                pass
