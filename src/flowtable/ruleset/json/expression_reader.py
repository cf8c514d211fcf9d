"""Expressions: from JSON to text.

Ref: nftables src/parser_json.c:json_parse_expr.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.json.access import (
    MalformedError,
    array,
    mapping,
    member,
    number,
    only,
    pair,
    plain,
    quoted,
    shown,
    words,
)
from flowtable.ruleset.json.stateful_reader import STATEFUL
from flowtable.ruleset.keywords import is_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.ruleset.json.value import Json

_UNQUOTED: Final = re.compile(r"[0-9A-Fa-f.:]+|[0-9]+(\.[0-9]+)?[a-z]*|[0-9a-f]+:[0-9a-f]+")


def value(found: Json) -> str:
    """What something is compared with or set to."""
    match found:
        case bool():
            return "exists" if found else "missing"
        case int():
            return str(number(found, "a value"))
        case str():
            return _word(found)
        case list():
            return f"({' | '.join(map(value, found))})"
        case _:
            return expression(found)


def _word(text: str) -> str:
    if text == "*":
        return text
    if text.startswith("@"):
        return f"@{plain(text[1:], 'a reference')}"
    if is_name(text) or _UNQUOTED.fullmatch(text):
        return text
    return quoted(text, "a value")


def expression(found: Json) -> str:
    """What is read, or computed: an object; or a string, its text."""
    if isinstance(found, str):
        return found
    kind, body = only(found, "an expression")
    read = _EXPRESSIONS.get(kind)
    if read is None:
        raise MalformedError(f"unknown expression '{kind}'")
    return read(body)


def key(found: Json) -> str:
    """The left side of a match or the key of a map: something that is read."""
    return expression(found)


def _payload(body: Json) -> str:
    found = mapping(body, "payload")
    if "protocol" in found:
        field = plain(member(found, "field", "payload"), "payload: field")
        return f"{plain(found['protocol'], 'payload: protocol')} {field}"
    base = plain(member(found, "base", "payload"), "payload: base")
    offset = number(member(found, "offset", "payload"), "payload: offset")
    length = number(member(found, "len", "payload"), "payload: len")
    return f"@{base},{offset},{length}"


def _meta(body: Json) -> str:
    return f"meta {plain(member(mapping(body, 'meta'), 'key', 'meta'), 'meta: key')}"


def _ct(body: Json) -> str:
    found = mapping(body, "ct")
    parts = [plain(found[name], f"ct: {name}") for name in ("dir", "family") if name in found]
    return " ".join(["ct", *parts, plain(member(found, "key", "ct"), "ct: key")])


def _rt(body: Json) -> str:
    found = mapping(body, "rt")
    parts = ["rt"]
    if "family" in found:
        parts.append(plain(found["family"], "rt: family"))
    return " ".join([*parts, plain(member(found, "key", "rt"), "rt: key")])


def _fib(body: Json) -> str:
    found = mapping(body, "fib")
    flags = " . ".join(
        plain(flag, "fib: flags") for flag in words(member(found, "flags", "fib"), "fib: flags")
    )
    return f"fib {flags} {plain(member(found, 'result', 'fib'), 'fib: result')}"


def _keyed(keyword: str, body: Json) -> str:
    return f"{keyword} {plain(member(mapping(body, keyword), 'key', keyword), keyword)}"


def _osf(body: Json) -> str:
    found = mapping(body, "osf")
    ttl = f"ttl {plain(found['ttl'], 'osf: ttl')} " if "ttl" in found else ""
    return f"osf {ttl}{plain(member(found, 'key', 'osf'), 'osf: key')}"


def _ipsec(body: Json) -> str:
    found = mapping(body, "ipsec")
    parts = ["ipsec", plain(member(found, "dir", "ipsec"), "ipsec: dir")]
    if "spnum" in found:
        parts.append(f"spnum {number(found['spnum'], 'ipsec: spnum')}")
    if "family" in found:
        parts.append(plain(found["family"], "ipsec: family"))
    return " ".join([*parts, plain(member(found, "key", "ipsec"), "ipsec: key")])


_FIELD: Final = re.compile(r"[a-z0-9-]+(\[[0-9]{1,3}\])?")
_PRESENCE: Final = (0, 8)
"""Lengths in bits with which nft writes whether an option is there, and that it is taken out."""


def _field(name: Json, keyword: str) -> str:
    """The name of a field, with the number of an item where it is a list."""
    if not isinstance(name, str) or not _FIELD.fullmatch(name):
        raise MalformedError(f"{keyword}: field: {shown(name)} is no name")
    return name


def _option(keyword: str, body: Json) -> str:
    """A TCP or IP option, or an IPv6 extension header: a field of it, or whether there is one."""
    found = mapping(body, keyword)
    if "base" in found:
        base, offset, length = (
            number(member(found, name, keyword), keyword) for name in ("base", "offset", "len")
        )
        if not offset and length in _PRESENCE:
            return f"{keyword} {base}"
        return f"{keyword} @{base},{offset},{length}"
    name = plain(member(found, "name", keyword), f"{keyword}: name")
    field = f" {_field(found['field'], keyword)}" if "field" in found else ""
    if keyword == "exthdr":
        return f"{name}{field}" if field else f"exthdr {name}"
    return f"{keyword} {name}{field}"


def _numgen(body: Json) -> str:
    found = mapping(body, "numgen")
    mode = plain(member(found, "mode", "numgen"), "numgen: mode")
    return f"numgen {mode} {_modulus(found, 'numgen')}"


def _jhash(body: Json) -> str:
    found = mapping(body, "jhash")
    seed = f" seed {number(found['seed'], 'jhash: seed')}" if "seed" in found else ""
    modulus, _, offset = _modulus(found, "jhash").partition(" offset ")
    return (
        f"jhash {expression(member(found, 'expr', 'jhash'))} {modulus}{seed}{offset and f' offset {offset}'}"
    )


def _symhash(body: Json) -> str:
    return f"symhash {_modulus(mapping(body, 'symhash'), 'symhash')}"


def _modulus(found: Json, what: str) -> str:
    members = mapping(found, what)
    offset = number(members.get("offset", 0), f"{what}: offset")
    text = f"mod {number(member(members, 'mod', what), f'{what}: mod')}"
    return f"{text} offset {offset}" if offset else text


def _concat(body: Json) -> str:
    return " . ".join(
        value(part) if isinstance(part, str | int) else expression(part) for part in array(body, "concat")
    )


def set_text(body: Json) -> str:
    """A set or map in place."""
    items = body if isinstance(body, list) else [body]
    return f"{{ {', '.join(map(element, items))} }}"


def element(found: Json) -> str:
    """One element of a set, or of a map: then an array of key and data."""
    if isinstance(found, list):
        target, data = pair(found, "an element of a map")
        return f"{_element_key(target)} : {_element_data(data)}"
    return _element_key(found)


def _element_key(found: Json) -> str:
    if not isinstance(found, dict) or "elem" not in found:
        return value(found)
    body = mapping(found["elem"], "elem")
    parts = [value(member(body, "val", "elem"))]
    times = (name for name in ("timeout", "expires") if name in body)
    parts.extend(f"{name} {number(body[name], f'elem: {name}')}s" for name in times)
    parts.extend(read(body[name]) for name, read in STATEFUL.items() if name in body)
    if "comment" in body:
        parts.append(f"comment {quoted(body['comment'], 'elem: comment')}")
    return " ".join(parts)


def _element_data(found: Json) -> str:
    if isinstance(found, dict) and len(found) == 1:
        verdict, target = only(found, "an element of a map")
        if verdict in ("accept", "drop", "continue", "return"):
            return verdict
        if verdict in ("jump", "goto"):
            name = member(mapping(target, verdict), "target", verdict)
            return f"{verdict} {plain(name, f'{verdict}: target')}"
    return value(found)


def _map(body: Json) -> str:
    found = mapping(body, "map")
    return f"{key(member(found, 'key', 'map'))} map {map_data(member(found, 'data', 'map'))}"


def map_data(found: Json) -> str:
    """The map behind ``map`` or ``vmap``: in place, or by its name."""
    return value(found)


def _prefix(body: Json) -> str:
    found = mapping(body, "prefix")
    length = number(member(found, "len", "prefix"), "prefix: len")
    return f"{value(member(found, 'addr', 'prefix'))}/{length}"


def _range(body: Json) -> str:
    low, high = pair(body, "range")
    dash = (
        " - "
        if any(isinstance(end, str) and end[:1].isalpha() and ":" not in end for end in (low, high))
        else "-"
    )
    return f"{value(low)}{dash}{value(high)}"


def _binary(operator: str, body: Json) -> str:
    first, *others = array(body, f"'{operator}'")
    text = value(first) if isinstance(first, str | int) else expression(first)
    for other in others:
        text += f" {operator} {value(other)}"
    return f"({text})"


_EXPRESSIONS: Final[dict[str, Callable[[Json], str]]] = {
    "payload": _payload,
    "meta": _meta,
    "ct": _ct,
    "rt": _rt,
    "fib": _fib,
    "socket": partial(_keyed, "socket"),
    "osf": _osf,
    "ipsec": _ipsec,
    "tcp option": partial(_option, "tcp option"),
    "ip option": partial(_option, "ip option"),
    "sctp chunk": partial(_option, "sctp chunk"),
    "dccp option": partial(_option, "dccp option"),
    "exthdr": partial(_option, "exthdr"),
    "numgen": _numgen,
    "jhash": _jhash,
    "symhash": _symhash,
    "concat": _concat,
    "set": set_text,
    "elem": lambda body: _element_key({"elem": body}),
    "map": _map,
    "prefix": _prefix,
    "range": _range,
    **{operator: partial(_binary, operator) for operator in ("&", "|", "^", "<<", ">>")},
}
"""By key: what reads an expression. A new kind is one line here."""
