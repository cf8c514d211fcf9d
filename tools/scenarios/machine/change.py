"""Events on a real box: the commands that docs/events.md names."""

from __future__ import annotations

from typing import Any

from scenarios.machine import devices as words
from scenarios.machine.machine import Machine
from scenarios.machine.namespace import MachineError


def happen(machine: Machine, event: dict[str, Any]) -> None:
    """Make an event happen.

    Raises:
        MachineError: the kernel refuses it, or there is no such event.
    """
    [(kind, what)] = [(key, value) for key, value in event.items() if key != "at"]
    near = machine.near
    gone = isinstance(what, dict) and what.get("delete", False)
    verb = "del" if gone else "add"
    match kind:
        case "link":
            near.ip([_link(what)])
        case "device":
            machine.devices.append(what)
            machine.add([what])
        case "address":
            near.ip([f"address {verb} {_address(what, gone)}"])
        case "route":
            near.run("ip", words.route_family(what), "route", verb, *words.route_words(what).split())
        case "rule":
            near.run("ip", words.rule_family(what), "rule", verb, *words.rule_words(what).split())
        case "neighbour" if gone:
            near.ip([f"neighbour del {what['address']} dev {what['dev']}"])
        case "neighbour":
            near.ip([f"neighbour replace {words.neighbour_words(what)}"])
        case "fdb":
            near.bridge([f"fdb {'del' if gone else 'replace'} {_fdb(what, gone)}"])
        case "port":
            near.bridge(words.port(what))
        case "vlan":
            own = " self" if _is_bridge(machine, what["dev"]) else ""
            near.bridge([f"vlan {verb} {words.vlan_words(what)}{own}"])
        case "ruleset":
            near.run("nft", "-f", "-", text=what)
        case "sysctl":
            for name, value in what.items():
                near.sysctl(name, value)
        case "conntrack":
            near.run("conntrack", "-F")
        case _:
            raise MachineError(f"no event {kind!r}")


def _link(what: dict[str, Any]) -> str:
    if what.get("delete"):
        return f"link del {what['dev']}"
    line = [f"link set {what['dev']}"]
    if "up" in what:
        line.append("up" if what["up"] else "down")
    if "mtu" in what:
        line.append(f"mtu {what['mtu']}")
    if "mac" in what:
        line.append(f"address {what['mac']}")
    if "master" in what:
        line.append("nomaster" if what["master"] == "none" else f"master {what['master']}")
    return " ".join(line)


def _address(what: dict[str, Any], gone: bool) -> str:
    text = words.address_words({key: value for key, value in what.items() if key != "dev"}, what["dev"])
    return f"{what['address']} dev {what['dev']}" if gone else text


def _fdb(what: dict[str, Any], gone: bool) -> str:
    vid = f" vlan {what['vlan']}" if "vlan" in what else ""
    return f"{what['mac']} dev {what['dev']} master{vid}" if gone else words.fdb_words(what)


def _is_bridge(machine: Machine, name: str) -> bool:
    return any(each["name"] == name and words.kind(each) == "bridge" for each in machine.devices)
