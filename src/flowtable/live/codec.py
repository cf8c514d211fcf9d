"""Dataclasses as lines of JSON, and back, with every value checked.

Whoever may write to a socket may write anything: a line has a bounded length, and only what a
dataclass declares comes through.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

KIND: Final = "kind"
"""The member that says which dataclass a line is."""
_SHOWN: Final = 60
_ORDINARY: Final = {str: "a string", int: "an integer", bool: "true or false", float: "a number"}


class CodecError(ValueError):
    """A line that says nothing; the message says where, as a path of members."""


def encode(message: object, kind: str) -> bytes:
    """A dataclass as a line.

    Args:
        message: the dataclass; its values are strings, numbers, None, and tuples and dataclasses of them.
        kind: what it is called.
    """
    assert is_dataclass(message)
    assert not isinstance(message, type)
    return json.dumps({KIND: kind, **asdict(message)}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes, kinds: Mapping[str, type[T]]) -> T:
    """The dataclass that a line is.

    Args:
        line: with or without its newline.
        kinds: the dataclasses that may come, by what they are called.

    Raises:
        CodecError: it is no JSON object, of no such kind, or a member is missing, unknown or not
            what it has to be.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise CodecError(f"not JSON: {_show(line.decode('utf-8', 'replace'))}") from None
    if not isinstance(value, dict):
        raise CodecError(f"not a JSON object: {_show(value)}")
    kind = value.pop(KIND, None)
    if not isinstance(kind, str) or kind not in kinds:
        raise CodecError(f"{KIND}: expected one of {', '.join(kinds)}, not {_show(kind)}")
    message: T = _read_object(kinds[kind], value, kind)
    return message


class Lines:
    """Cuts a stream of bytes into lines.

    Attributes:
        limit: how long a line may be, bytes, its newline not counted.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in what came.

        Raises:
            CodecError: a line is too long, whether it has ended or not.
        """
        *whole, self._rest = (self._rest + data).split(b"\n")
        if any(len(line) > self.limit for line in (*whole, self._rest)):
            raise CodecError(f"a line is longer than {self.limit} bytes")
        return whole


def _members(cls: type[Any]) -> dict[str, tuple[Any, bool]]:
    """The type of each member of a dataclass, and whether it has to be there."""
    members = _MEMBERS.get(cls)
    if members is None:
        hints = get_type_hints(cls)
        members = _MEMBERS[cls] = {
            each.name: (hints[each.name], each.default is MISSING and each.default_factory is MISSING)
            for each in fields(cls)
        }
    return members


_MEMBERS: Final[dict[type[Any], dict[str, tuple[Any, bool]]]] = {}
"""Of the dataclasses that were looked at."""


def _read_object(cls: type[Any], value: dict[str, Any], place: str) -> Any:  # noqa: ANN401 - of that class
    members = _members(cls)
    for name in value:
        if name not in members:
            raise CodecError(f"{place}: no member {_show(name)}")
    given: dict[str, Any] = {}
    for name, (hint, needed) in members.items():
        if name in value:
            given[name] = _read(hint, value[name], f"{place}.{name}")
        elif needed:
            raise CodecError(f"{place}: member {name} is missing")
    return cls(**given)


def _read(hint: Any, value: Any, place: str) -> Any:  # noqa: ANN401 - a type at run time, and any JSON
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise CodecError(f"{place}: expected an object, not {_show(value)}")
        return _read_object(hint, value, place)
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        if value is None:
            return None
        (kept,) = (each for each in get_args(hint) if each is not NoneType)
        return _read(kept, value, place)
    if origin is tuple:
        if not isinstance(value, list):
            raise CodecError(f"{place}: expected an array, not {_show(value)}")
        item = get_args(hint)[0]
        return tuple(_read(item, each, f"{place}[{number}]") for number, each in enumerate(value))
    if hint is float and type(value) is int:
        return value
    if type(value) is not hint:
        raise CodecError(f"{place}: expected {_ORDINARY[hint]}, not {_show(value)}")
    return value


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
