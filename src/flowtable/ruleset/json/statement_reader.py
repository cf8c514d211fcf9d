"""Statements: from JSON to text.

Ref: nftables src/parser_json.c:json_parse_stmt.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.json.access import (
    MalformedError,
    mapping,
    member,
    number,
    only,
    plain,
    quoted,
    string,
    words,
)
from flowtable.ruleset.json.expression_reader import element, expression, key, map_data, value
from flowtable.ruleset.json.stateful_reader import STATEFUL

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowtable.ruleset.json.value import Json


def statement(found: Json) -> str:
    """A statement: an object; or a string, its text."""
    if isinstance(found, str):
        return found
    kind, body = only(found, "a statement")
    read = _STATEMENTS.get(kind)
    if read is None:
        raise MalformedError(f"unknown statement '{kind}'")
    return read(body)


def _match(body: Json) -> str:
    found = mapping(body, "match")
    operator = string(found.get("op", "=="), "match: op")
    if operator not in ("==", "!=", "<", ">", "<=", ">=", "!", "in"):
        raise MalformedError(f"match: unknown operator '{operator}'")
    left = key(member(found, "left", "match"))
    right = member(found, "right", "match")
    if operator in ("in", "!") and isinstance(right, list):
        shown = ",".join(map(value, right))
    else:
        shown = value(right)
    plain_values = isinstance(right, dict) and "set" not in right
    sign = (
        ""
        if operator == "in" or (operator == "==" and (plain_values or shown.startswith(("@", "{"))))
        else operator
    )
    return " ".join(filter(None, (left, sign, shown)))


def _bare(keyword: str, body: Json) -> str:
    del body
    return keyword


def _jump(keyword: str, body: Json) -> str:
    return f"{keyword} {plain(member(mapping(body, keyword), 'target', keyword), f'{keyword}: target')}"


def _vmap(body: Json) -> str:
    found = mapping(body, "vmap")
    return f"{key(member(found, 'key', 'vmap'))} vmap {map_data(member(found, 'data', 'vmap'))}"


def _mangle(body: Json) -> str:
    found = mapping(body, "mangle")
    return f"{key(member(found, 'key', 'mangle'))} set {value(member(found, 'value', 'mangle'))}"


def _stateful(keyword: str, body: Json) -> str:
    """A reference to a named object, by its name or by a map; or the statement itself."""
    if isinstance(body, str):
        return f"{keyword} name {quoted(body, keyword)}"
    if isinstance(body, dict) and "map" in body:
        return f"{keyword} name {expression(body)}"
    return STATEFUL[keyword](body)


def _log(body: Json) -> str:
    if body is None:
        return "log"
    found = mapping(body, "log")
    parts = ["log"]
    if "prefix" in found:
        parts.append(f"prefix {quoted(found['prefix'], 'log: prefix')}")
    numbers = ("group", "snaplen", "queue-threshold")
    parts.extend(f"{name} {number(found[name], f'log: {name}')}" for name in numbers if name in found)
    if "level" in found:
        parts.append(f"level {plain(found['level'], 'log: level')}")
    flags = words(found.get("flags", []), "log: flags")
    parts.extend(f"flags {plain(flag, 'log: flags')}" for flag in flags)
    return " ".join(parts)


def _reject(body: Json) -> str:
    if body is None:
        return "reject"
    found = mapping(body, "reject")
    if "type" not in found:
        return "reject"
    kind = plain(found["type"], "reject: type")
    if "expr" not in found:
        return f"reject with {kind}"
    code = found["expr"]
    text = str(code) if isinstance(code, int) else plain(code, "reject: expr")
    return f"reject with {kind} {text}"


def _nat(keyword: str, body: Json) -> str:
    if body is None:
        return keyword
    found = mapping(body, keyword)
    family = plain(found["family"], f"{keyword}: family") if "family" in found else ""
    kinds = words(found.get("type_flags", []), f"{keyword}: type_flags")
    flags = [flag for flag in words(found.get("flags", []), f"{keyword}: flags") if flag != "netmap"]
    parts = [keyword, family, *(plain(kind, keyword) for kind in kinds if kind != "concat")]
    address = found.get("addr")
    port = "" if "port" not in found else f":{_unbraced(value(found['port']))}"
    if address is not None:
        text = _unbraced(value(address))
        if port and ":" in text and "map" not in text:
            text = "-".join(f"[{part}]" for part in text.split("-"))
        parts.append(f"to {text}{port}")
    elif port:
        parts.append(f"to {port}")
    parts.append(",".join(plain(flag, f"{keyword}: flags") for flag in flags))
    return " ".join(filter(None, parts))


def _unbraced(text: str) -> str:
    """Without the parentheses around the whole."""
    return text[1:-1] if text.startswith("(") else text


def _set_update(body: Json) -> str:
    found = mapping(body, "set")
    operation = plain(member(found, "op", "set"), "set: op")
    target = value(member(found, "set", "set"))
    item = member(found, "elem", "set")
    parts = [_dynamic_key(item), *map(statement, _list(found.get("stmt", [])))]
    return f"{operation} {target} {{ {' '.join(parts)} }}"


def _map_update(body: Json) -> str:
    found = mapping(body, "map")
    operation = plain(member(found, "op", "map"), "map: op")
    target = value(member(found, "map", "map"))
    parts = [_dynamic_key(member(found, "elem", "map")), *map(statement, _list(found.get("stmt", [])))]
    data = value(member(found, "data", "map"))
    return f"{operation} {target} {{ {' '.join(parts)} : {data} }}"


def _dynamic_key(found: Json) -> str:
    return element(found) if isinstance(found, dict) and "elem" in found else expression(found)


def _list(found: Json) -> list[Json]:
    return found if isinstance(found, list) else [found]


def _meter(body: Json) -> str:
    found = mapping(body, "meter")
    size = f"size {number(found['size'], 'meter: size')} " if "size" in found else ""
    name = plain(member(found, "name", "meter"), "meter: name")
    inner = statement(member(found, "stmt", "meter"))
    return f"meter {name} {size}{{ {_dynamic_key(member(found, 'key', 'meter'))} {inner} }}"


def _object(keyword: str, body: Json) -> str:
    return f"{keyword} set {value(body) if isinstance(body, dict) else quoted(body, keyword)}"


def _flow(body: Json) -> str:
    found = mapping(body, "flow")
    return f"flow {plain(found.get('op', 'add'), 'flow: op')} {value(member(found, 'flowtable', 'flow'))}"


def _queue(body: Json) -> str:
    if body is None:
        return "queue"
    found = mapping(body, "queue")
    flags = ",".join(plain(flag, "queue: flags") for flag in words(found.get("flags", []), "queue: flags"))
    text = f"queue flags {flags}" if flags else "queue"
    return f"{text} to {_unbraced(value(found['num']))}" if "num" in found else text


def _dup(body: Json) -> str:
    found = mapping(body, "dup")
    if "addr" not in found:
        return f"dup to {value(member(found, 'dev', 'dup'))}"
    device = f" device {value(found['dev'])}" if "dev" in found else ""
    return f"dup to {value(found['addr'])}{device}"


def _fwd(body: Json) -> str:
    found = mapping(body, "fwd")
    device = value(member(found, "dev", "fwd"))
    if "addr" in found:
        family = plain(member(found, "family", "fwd"), "fwd: family")
        return f"fwd {family} to {value(found['addr'])} device {device}"
    return f"fwd to {device}"


def _tproxy(body: Json) -> str:
    found = mapping(body, "tproxy")
    family = f"{plain(found['family'], 'tproxy: family')} " if "family" in found else ""
    address = value(found["addr"]) if "addr" in found else ""
    port = f":{value(found['port'])}" if "port" in found else ""
    if port and ":" in address:
        address = f"[{address}]"
    return f"tproxy {family}to {address}{port}"


def _synproxy(body: Json) -> str:
    if body is None:
        return "synproxy"
    if isinstance(body, str):
        return f"synproxy name {quoted(body, 'synproxy')}"
    if isinstance(body, dict) and "map" in body:
        return f"synproxy name {expression(body)}"
    return " ".join(["synproxy", *synproxy_options(body)])


def synproxy_options(body: Json) -> list[str]:
    """``mss``, ``wscale`` and the flags of a synproxy."""
    found = mapping(body, "synproxy")
    parts = [
        f"{name} {number(found[name], f'synproxy: {name}')}" for name in ("mss", "wscale") if name in found
    ]
    flags = [plain(flag, "synproxy: flags") for flag in words(found.get("flags", []), "synproxy: flags")]
    return [*parts, *flags]


def _reset(body: Json) -> str:
    return f"reset {expression(body)}"


_STATEMENTS: Final[dict[str, Callable[[Json], str]]] = {
    "match": _match,
    **{word: partial(_bare, word) for word in ("accept", "drop", "continue", "return", "notrack")},
    "jump": partial(_jump, "jump"),
    "goto": partial(_jump, "goto"),
    "vmap": _vmap,
    "mangle": _mangle,
    **{keyword: partial(_stateful, keyword) for keyword in STATEFUL},
    "log": _log,
    "reject": _reject,
    **{word: partial(_nat, word) for word in ("snat", "dnat", "masquerade", "redirect")},
    "set": _set_update,
    "map": _map_update,
    "meter": _meter,
    "ct helper": partial(_object, "ct helper"),
    "ct timeout": partial(_object, "ct timeout"),
    "ct expectation": partial(_object, "ct expectation"),
    "flow": _flow,
    "queue": _queue,
    "dup": _dup,
    "fwd": _fwd,
    "tproxy": _tproxy,
    "synproxy": _synproxy,
    "reset": _reset,
}
"""By key: what reads a statement. A new kind is one line here."""
