"""Devices, one function per kind: the lines for ``ip`` and ``bridge`` that make one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

Device = dict[str, Any]
Lines = Iterator[str]

FAR_MTU: Final = 65535
_PORT_FLAGS: Final = ("learning", "flood", "mcast_flood", "bcast_flood", "hairpin", "isolated")
_STATES: Final = {"disabled": 0, "listening": 1, "learning": 2, "forwarding": 3, "blocking": 4}


def ethernet(device: Device, far: str) -> Lines:
    """A cable: its far end has the same name, in the namespace at the path ``far``."""
    name = device["name"]
    mtu = device.get("mtu", 1500)
    peer = f"peer name {name} mtu {FAR_MTU} netns {far}"
    yield f"link add {name} address {device['mac']} mtu {mtu} type veth {peer}"


def vlan(device: Device, far: str) -> Lines:
    """``ip link add type vlan``."""
    protocol = device.get("protocol", "802.1Q")
    mac = f"address {device['mac']} " if "mac" in device else ""
    yield (
        f"link add link {device['parent']} name {device['name']} {mac}{_mtu(device)}"
        f"type vlan protocol {protocol} id {device['id']}"
    )


def bridge(device: Device, far: str) -> Lines:
    """``ip link add type bridge``; it does not snoop on multicast groups, nor speak STP."""
    options = [f"ageing_time {round(device.get('ageing_time', 300) * 100)}", "mcast_snooping 0"]
    if device.get("vlan_filtering"):
        options.append("vlan_filtering 1")
        options.append(f"vlan_default_pvid {device.get('vlan_default_pvid', 1)}")
    if "vlan_protocol" in device:
        options.append(f"vlan_protocol {device['vlan_protocol']}")
    yield f"link add {device['name']} address {device['mac']} {_mtu(device)}type bridge {' '.join(options)}"


def bond(device: Device, far: str) -> Lines:
    """``ip link add type bond``."""
    policy = f" xmit_hash_policy {device['xmit_hash_policy']}" if "xmit_hash_policy" in device else ""
    mac = f"address {device['mac']} " if "mac" in device else ""
    yield f"link add {device['name']} {mac}{_mtu(device)}type bond mode {device['mode']}{policy}"


def macvlan(device: Device, far: str) -> Lines:
    """``ip link add type macvlan``."""
    yield (
        f"link add link {device['parent']} name {device['name']} address {device['mac']} {_mtu(device)}"
        f"type macvlan mode {device.get('mode', 'bridge')}"
    )


def tunnel(device: Device, far: str) -> Lines:
    """``ip link add type ipip`` and its like."""
    kind = {"ip6ip6": "ip6tnl mode ip6ip6"}.get(device["kind"], device["kind"])
    parent = f" dev {device['parent']}" if "parent" in device else ""
    ttl = device.get("ttl", 0) or "inherit"
    limit = f" encaplimit {device['encaplimit']}" if "encaplimit" in device else ""
    yield (
        f"link add {device['name']} {_mtu(device)}type {kind}"
        f" local {device['local']} remote {device['remote']} ttl {ttl}{limit}{parent}"
    )


def vrf(device: Device, far: str) -> Lines:
    """``ip link add type vrf``."""
    yield f"link add {device['name']} type vrf table {device['table']}"


def _mtu(device: Device) -> str:
    return f"mtu {device['mtu']} " if "mtu" in device else ""


KINDS: Final[dict[str, Callable[[Device, str], Lines]]] = {
    "ethernet": ethernet,
    "vlan": vlan,
    "bridge": bridge,
    "bond": bond,
    "macvlan": macvlan,
    "ipip": tunnel,
    "ip6ip6": tunnel,
    "sit": tunnel,
    "vrf": vrf,
}
"""All kinds but ``pppoe``, which is no business of ``ip``."""


def kind(device: Device) -> str:
    """The kind of a device, ``loopback`` for lo."""
    if device["name"] == "lo":
        return "loopback"
    return str(device.get("kind", "ethernet"))


def addresses(device: Device) -> Lines:
    """``ip address add`` for each of its addresses."""
    for address in device.get("addresses", ()):
        yield f"address add {address_words(address, device['name'])}"


def address_words(address: str | dict[str, Any], device: str) -> str:
    """What stands behind ``ip address add``."""
    if isinstance(address, str):
        address = {"address": address}
    words = [str(address["address"])]
    for key in ("peer", "broadcast", "scope", "metric"):
        if key in address:
            words += [key, str(address[key])]
    if "broadcast" not in address and ":" not in words[0] and "peer" not in address:
        words += ["broadcast", "+"] if int(words[0].partition("/")[2] or 32) < 31 else []
    words += ["dev", device]
    words += [key for key in ("noprefixroute",) if address.get(key)]
    return " ".join(words)


def port(device: Device) -> Lines:
    """``bridge link set`` for what a port does otherwise than ports do."""
    words = [f"{key} {'on' if device[key] else 'off'}" for key in _PORT_FLAGS if key in device]
    if "state" in device:
        words.append(f"state {_STATES[device['state']]}")
    if words:
        yield f"link set dev {device.get('name', device.get('dev'))} {' '.join(words)}"


def vlans(device: Device, default: int) -> Lines:
    """``bridge vlan`` for a port, or for the bridge itself, that has a table of its own."""
    own = " self" if kind(device) == "bridge" else ""
    if "vlans" in device:
        if default:
            yield f"vlan del dev {device['name']} vid {default}{own}"
        for vlan in device["vlans"]:
            yield f"vlan add {vlan_words({'dev': device['name'], **vlan})}{own}"


def vlan_words(vlan: dict[str, Any]) -> str:
    """What stands behind ``bridge vlan add``."""
    flags = "".join(f" {flag}" for flag in ("pvid", "untagged") if vlan.get(flag))
    return f"dev {vlan['dev']} vid {vlan['id']}{flags}"


def fdb_words(entry: dict[str, Any]) -> str:
    """What stands behind ``bridge fdb replace``."""
    state = entry.get("state", "dynamic")
    vid = f" vlan {entry['vlan']}" if "vlan" in entry else ""
    return f"{entry['mac']} dev {entry['dev']} master {state}{vid}"


def route_words(route: dict[str, Any]) -> str:
    """What stands behind ``ip route add``."""
    words = [route["type"]] if "type" in route else []
    words.append(str(route["to"]))
    for key in ("via", "dev", "metric", "mtu", "src", "table"):
        if key in route:
            words += [key, str(route[key])]
    if route.get("onlink"):
        words.append("onlink")
    return " ".join(words)


def route_family(route: dict[str, Any]) -> str:
    """``-4`` or ``-6``."""
    return "-6" if any(":" in str(route.get(key, "")) for key in ("to", "via", "src")) else "-4"


def neighbour_words(neighbour: dict[str, Any]) -> str:
    """What stands behind ``ip neighbour replace``."""
    words = [str(neighbour["address"]), "dev", neighbour["dev"]]
    if "mac" in neighbour:
        words += ["lladdr", neighbour["mac"]]
    words += ["nud", neighbour.get("state", "permanent")]
    if neighbour.get("router"):
        words.append("router")
    return " ".join(words)


def rule_words(rule: dict[str, Any]) -> str:
    """What stands behind ``ip rule add``."""
    words = ["not"] if rule.get("not") else []
    for key in ("priority", "from", "to", "iif", "oif", "fwmark"):
        if key in rule:
            words += [key, str(rule[key])]
    words += ["table", str(rule["table"])] if "table" in rule else [rule["action"]]
    if "suppress_prefixlength" in rule:
        words += ["suppress_prefixlength", str(rule["suppress_prefixlength"])]
    return " ".join(words)


def rule_family(rule: dict[str, Any]) -> str:
    """``-4`` or ``-6``."""
    six = rule.get("family") == "inet6" or any(":" in str(rule.get(key, "")) for key in ("from", "to"))
    return "-6" if six else "-4"


def far_ends(devices: Iterable[Device]) -> list[str]:
    """Names of the devices that have a cable."""
    return [device["name"] for device in devices if kind(device) == "ethernet"]
