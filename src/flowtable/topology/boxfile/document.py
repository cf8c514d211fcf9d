"""YAML text into a tree whose every node knows where it stands.

What a box file needs of YAML 1.2, and JSON with it: mappings, sequences and scalars of one
document. Tags, anchors with aliases, and nesting beyond reason are refused, so that the tree
is never larger than the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

MAX_DEPTH: Final = 16


class DocumentError(ValueError):
    """The text is not the YAML that a box file may be; line and column count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as it is written; ``plain`` without quotes."""

    line: int
    column: int
    text: str
    plain: bool

    def __str__(self) -> str:
        if self.plain:
            return self.text[:40] or "nothing"
        return repr(self.text[:40])


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of nodes."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return "a list"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values, in the order of the text, repeated keys included."""

    line: int
    column: int
    pairs: list[tuple[Scalar, Node]] = field(default_factory=list)

    def __str__(self) -> str:
        return "a mapping"


Node = Scalar | Sequence | Mapping


def parse(text: str | bytes) -> Node:
    """The root of the only document in the text.

    Raises:
        DocumentError: with the place and what is wrong there.
    """
    if isinstance(text, bytes):
        text = _decode(text)
    stack: list[Sequence | Mapping] = []
    keys: list[Scalar | None] = []
    root: Node | None = None
    for event in _events(text):
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, (SequenceEndEvent, MappingEndEvent)):
            stack.pop()
            keys.pop()
            continue
        if isinstance(event, DocumentStartEvent) and root is not None:
            raise DocumentError(line, column, "expected one document")
        if not isinstance(event, NodeEvent):
            continue
        node = _node(event, line, column)
        if not stack:
            root = node
        elif isinstance(parent := stack[-1], Sequence):
            parent.items.append(node)
        elif (key := keys[-1]) is None:
            if not isinstance(node, Scalar):
                raise DocumentError(line, column, f"expected a key, got {node}")
            keys[-1] = node
        else:
            parent.pairs.append((key, node))
            keys[-1] = None
        if not isinstance(node, Scalar):
            if len(stack) == MAX_DEPTH:
                raise DocumentError(line, column, f"nested more than {MAX_DEPTH} deep")
            stack.append(node)
            keys.append(None)
    if root is None:
        raise DocumentError(1, 1, "expected a mapping, got an empty file")
    return root


def _node(event: NodeEvent, line: int, column: int) -> Node:
    if isinstance(event, AliasEvent):
        raise DocumentError(line, column, "aliases are not supported")
    if isinstance(event, (ScalarEvent, CollectionStartEvent)) and event.tag is not None:
        raise DocumentError(line, column, "tags are not supported")
    if isinstance(event, ScalarEvent):
        return Scalar(line, column, event.value, event.style in (None, ""))
    return Sequence(line, column) if isinstance(event, SequenceStartEvent) else Mapping(line, column)


def _events(text: str) -> Iterator[Event]:
    line, column = 1, 1
    try:
        for event in YAML(pure=True).parse(text):
            line, column = event.end_mark.line + 1, event.end_mark.column + 1
            yield event
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if isinstance(mark, StringMark) else (1, 1)
        raise DocumentError(line, column, str(error.problem or error.context)) from None
    except ReaderError as error:
        line, column = _place(text, error.position)
        raise DocumentError(line, column, f"character U+{error.character:04X} is not allowed") from None
    except YAMLError as error:
        raise DocumentError(1, 1, str(error)) from None
    except (OverflowError, ValueError):
        # The scanner hands escapes like "\Uffffffff" to chr() as they are.
        raise DocumentError(line, column, "what follows has an escape of no character") from None


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _place(raw[: error.start].decode("utf-8"), error.start)
        raise DocumentError(line, column, f"byte 0x{raw[error.start]:02x} is not UTF-8") from None


def _place(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, len(before) - before.rfind("\n")
