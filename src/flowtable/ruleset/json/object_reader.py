"""Tables and what is in them: from JSON to the text of commands.

Ref: nftables src/parser_json.c:json_parse_cmd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.json.access import (
    MalformedError,
    array,
    mapping,
    member,
    number,
    only,
    plain,
    quoted,
    words,
)
from flowtable.ruleset.json.expression_reader import element, expression
from flowtable.ruleset.json.stateful_reader import rate
from flowtable.ruleset.json.statement_reader import statement, synproxy_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowtable.ruleset.json.value import Json

    Members = Mapping[str, Json]

VERBS: Final = (
    "add",
    "create",
    "insert",
    "replace",
    "delete",
    "destroy",
    "list",
    "reset",
    "flush",
    "rename",
)


def command(item: Json) -> str:
    """A command, or an object that is to be added; empty for what is about the document itself."""
    kind, body = only(item, "a command")
    if kind == "metainfo":
        return ""
    if kind in VERBS:
        subject, inner = only(body, kind)
        return _command(kind, subject, inner)
    return _command("add", kind, body, listed=True)


def _command(verb: str, kind: str, body: Json, *, listed: bool = False) -> str:
    if kind == "ruleset":
        family = body.get("family") if isinstance(body, dict) else None
        return f"{verb} ruleset{'' if family is None else f' {plain(family, kind)}'}"
    found = mapping(body, kind)
    if kind == "table":
        return _table(verb, found)
    if kind == "rule":
        return _rule(verb, found, listed=listed)
    if kind.endswith("s") and verb in ("list", "reset"):
        return _listing(verb, kind, found)
    parts = [verb, kind, _family(found), plain(member(found, "table", kind), f"{kind}: table")]
    if verb in ("delete", "destroy") and "handle" in found and "name" not in found:
        return " ".join(filter(None, [*parts, f"handle {number(found['handle'], f'{kind}: handle')}"]))
    parts.append(plain(member(found, "name", kind), f"{kind}: name"))
    text = " ".join(filter(None, parts))
    if verb == "rename":
        return f"{text} {plain(member(found, 'newname', kind), f'{kind}: newname')}"
    if kind == "element":
        return f"{text} {{ {_elements(member(found, 'elem', kind))} }}"
    if verb in ("add", "create"):
        return text + _declaration(kind, found)
    if kind == "flowtable" and verb in ("delete", "destroy") and "dev" in found:
        return f"{text} {{ {_devices(found)}; }}"
    return text


def _family(found: Members) -> str:
    return plain(found["family"], "family") if "family" in found else ""


def _table(verb: str, found: Members) -> str:
    parts = [verb, "table", _family(found)]
    if "name" not in found and "handle" in found:
        return " ".join(filter(None, [*parts, f"handle {number(found['handle'], 'table: handle')}"]))
    text = " ".join(filter(None, [*parts, plain(member(found, "name", "table"), "table: name")]))
    items = []
    if "flags" in found:
        items.append(
            f"flags {','.join(plain(flag, 'table: flags') for flag in words(found['flags'], 'table: flags'))}"
        )
    if "comment" in found:
        items.append(f"comment {quoted(found['comment'], 'table: comment')}")
    return text + _block(items) if verb in ("add", "create") else text


def _rule(verb: str, found: Members, *, listed: bool) -> str:
    parts = [verb, "rule", _family(found)]
    parts += [plain(member(found, name, "rule"), f"rule: {name}") for name in ("table", "chain")]
    if "index" in found:
        parts.append(f"index {number(found['index'], 'rule: index')}")
    elif "handle" in found and not listed:
        parts.append(f"handle {number(found['handle'], 'rule: handle')}")
    if verb in ("add", "insert", "replace"):
        parts += [statement(each) for each in array(member(found, "expr", "rule"), "rule: expr")]
        if "comment" in found:
            parts.append(f"comment {quoted(found['comment'], 'rule: comment')}")
    return " ".join(filter(None, parts))


def _listing(verb: str, kind: str, found: Members) -> str:
    parts = [verb, kind]
    if kind == "rules" and "chain" in found:
        names = [plain(member(found, name, kind), f"{kind}: {name}") for name in ("table", "chain")]
        parts += ["chain", _family(found), *names]
    elif "table" in found:
        parts += ["table", _family(found), plain(found["table"], f"{kind}: table")]
    else:
        parts.append(_family(found))
    return " ".join(filter(None, parts))


def _declaration(kind: str, found: Members) -> str:
    read = _DECLARATIONS.get(kind)
    if read is None:
        raise MalformedError(f"unknown object '{kind}'")
    items = read(found)
    if "comment" in found:
        items.append(f"comment {quoted(found['comment'], f'{kind}: comment')}")
    return _block(items)


def _block(items: list[str]) -> str:
    return f" {{ {' '.join(f'{item};' for item in items)} }}" if items else ""


def _chain(found: Members) -> list[str]:
    if "hook" not in found:
        return []
    devices = ""
    if "dev" in found:
        names = words(found["dev"], "chain: dev")
        one = len(names) == 1
        listed = ", ".join(quoted(name, "chain: dev") for name in names)
        devices = f" device {listed}" if one else f" devices = {{ {listed} }}"
    kind = plain(member(found, "type", "chain"), "chain: type")
    hook = plain(found["hook"], "chain: hook")
    items = [f"type {kind} hook {hook}{devices} priority {_priority(found)}"]
    if "policy" in found:
        items.append(f"policy {plain(found['policy'], 'chain: policy')}")
    return items


def _priority(found: Members) -> str:
    priority = found.get("prio", 0)
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise MalformedError("prio: a number is expected")
    return str(priority)


def _devices(found: Members) -> str:
    names = words(found.get("dev", []), "flowtable: dev")
    listed = ", ".join(quoted(name, "flowtable: dev") for name in names)
    return f"devices = {{ {listed} }}"


def _flowtable(found: Members) -> list[str]:
    items = []
    if "hook" in found:
        items.append(f"hook {plain(found['hook'], 'flowtable: hook')} priority {_priority(found)}")
    if found.get("dev"):
        items.append(_devices(found))
    flags = words(found.get("flags", []), "flowtable: flags")
    items.extend(f"flags {plain(flag, 'flowtable: flags')}" for flag in flags)
    if found.get("counter", False) is not False:
        items.append("counter")
    return items


def _set(found: Members) -> list[str]:
    items = [_set_type(found)]
    if "policy" in found:
        items.append(f"policy {plain(found['policy'], 'set: policy')}")
    if "flags" in found:
        items.append(
            f"flags {','.join(plain(flag, 'set: flags') for flag in words(found['flags'], 'set: flags'))}"
        )
    items += [
        f"{name} {number(found[name], f'set: {name}')}s"
        for name in ("timeout", "gc-interval")
        if name in found
    ]
    if "size" in found:
        items.append(f"size {number(found['size'], 'set: size')}")
    if found.get("auto-merge"):
        items.append("auto-merge")
    if "stmt" in found:
        items.append(" ".join(statement(each) for each in array(found["stmt"], "set: stmt")))
    if found.get("elem"):
        items.append(f"elements = {{ {_elements(found['elem'])} }}")
    return items


def _set_type(found: Members) -> str:
    subject = member(found, "type", "set")
    typeof = isinstance(subject, dict)
    if typeof:
        text = expression(mapping(subject, "set: type").get("typeof"))
    else:
        text = " . ".join(plain(word, "set: type") for word in words(subject, "set: type"))
    if "map" in found:
        data = found["map"]
        if isinstance(data, dict):
            text += f" : {expression(mapping(data, 'map').get('typeof'))}"
        else:
            text += f" : {' . '.join(plain(word, 'map') for word in words(data, 'map'))}"
    return f"{'typeof' if typeof else 'type'} {text}"


def _elements(found: Json) -> str:
    return ", ".join(map(element, found if isinstance(found, list) else [found]))


def _counter(found: Members) -> list[str]:
    packets, count = (number(found.get(name, 0), f"counter: {name}") for name in ("packets", "bytes"))
    return [f"packets {packets} bytes {count}"]


def _quota(found: Members) -> list[str]:
    over = "over " if found.get("inv") else ""
    used = f" used {number(found['used'], 'quota: used')} bytes" if "used" in found else ""
    return [f"{over}{number(member(found, 'bytes', 'quota'), 'quota: bytes')} bytes{used}"]


def _limit(found: Members) -> list[str]:
    return [rate(found)]


def _helper(found: Members) -> list[str]:
    items = [
        f"type {quoted(member(found, 'type', 'ct helper'), 'ct helper: type')} "
        f"protocol {plain(member(found, 'protocol', 'ct helper'), 'ct helper: protocol')}"
    ]
    return items + _l3proto(found)


def _l3proto(found: Members) -> list[str]:
    return [f"l3proto {plain(found['l3proto'], 'l3proto')}"] if "l3proto" in found else []


def _timeout(found: Members) -> list[str]:
    items = [
        f"protocol {plain(member(found, 'protocol', 'ct timeout'), 'ct timeout: protocol')}",
        *_l3proto(found),
    ]
    if "policy" in found:
        states = mapping(found["policy"], "ct timeout: policy")
        pairs = (f"{plain(name, 'policy')} : {number(states[name], 'ct timeout: policy')}" for name in states)
        items.append(f"policy = {{ {', '.join(pairs)} }}")
    return items


def _expectation(found: Members) -> list[str]:
    what = "ct expectation"
    return [
        f"protocol {plain(member(found, 'protocol', what), what)}",
        f"dport {number(member(found, 'dport', what), what)}",
        f"timeout {number(member(found, 'timeout', what), what)}ms",
        f"size {number(member(found, 'size', what), what)}",
        *_l3proto(found),
    ]


def _synproxy(found: Members) -> list[str]:
    options = synproxy_options(found)
    sized = [option for option in options if " " in option]
    flags = [option for option in options if " " not in option]
    return [*sized, " ".join(flags)] if flags else sized


def _secmark(found: Members) -> list[str]:
    return [quoted(member(found, "context", "secmark"), "secmark: context")]


_DECLARATIONS: Final[dict[str, Callable[[Members], list[str]]]] = {
    "chain": _chain,
    "flowtable": _flowtable,
    "set": _set,
    "map": _set,
    "counter": _counter,
    "quota": _quota,
    "limit": _limit,
    "ct helper": _helper,
    "ct timeout": _timeout,
    "ct expectation": _expectation,
    "synproxy": _synproxy,
    "secmark": _secmark,
}
"""By key: what reads the block of an object."""
