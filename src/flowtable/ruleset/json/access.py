"""Taking a JSON document apart, with one clear error where it is not what the schema says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json


class MalformedError(ValueError):
    """Something in a document that the schema does not have; the text is one line that says what."""


def mapping(value: Json, what: str) -> Mapping[str, Json]:
    """An object."""
    if not isinstance(value, Mapping):
        raise MalformedError(f"{what}: an object is expected, got {shown(value)}")
    return value


def array(value: Json, what: str) -> list[Json]:
    """An array."""
    if not isinstance(value, list):
        raise MalformedError(f"{what}: an array is expected, got {shown(value)}")
    return value


def pair(value: Json, what: str) -> tuple[Json, Json]:
    """An array of two."""
    items = array(value, what)
    if len(items) != 2:
        raise MalformedError(f"{what}: two values are expected, got {len(items)}")
    return items[0], items[1]


def string(value: Json, what: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise MalformedError(f"{what}: a string is expected, got {shown(value)}")
    return value


def number(value: Json, what: str) -> int:
    """A number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedError(f"{what}: a number is expected, got {shown(value)}")
    return value


def only(value: Json, what: str) -> tuple[str, Json]:
    """The one member of an object that says by its key what it is."""
    members = mapping(value, what)
    if len(members) != 1:
        raise MalformedError(f"{what}: one member is expected, got {len(members)}")
    return next(iter(members.items()))


def member(members: Mapping[str, Json], key: str, what: str) -> Json:
    """A member that has to be there."""
    if key not in members:
        raise MalformedError(f"{what}: '{key}' is missing")
    return members[key]


def words(value: Json, what: str) -> list[str]:
    """A string, or an array of strings."""
    return [string(item, what) for item in (value if isinstance(value, list) else [value])]


def quoted(value: Json, what: str) -> str:
    """A text in quotes."""
    text = string(value, what)
    if '"' in text or "\n" in text:
        raise MalformedError(f"{what}: a text cannot hold quotes or newlines")
    return f'"{text}"'


def plain(value: Json, what: str) -> str:
    """A string that is a name or a keyword of the language, and nothing more."""
    text = string(value, what)
    if not text or not all(character.isalnum() or character in "-_./[] " for character in text):
        raise MalformedError(f"{what}: {shown(value)} is no name")
    return text


def shown(value: Json) -> str:
    """A value in a message."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
        case int():
            return str(value)
        case Mapping():
            return "an object"
        case _:
            return "an array"
