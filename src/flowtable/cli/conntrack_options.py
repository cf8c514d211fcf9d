"""What the options of ``flowtable conntrack`` mean: conntrack's own, word by word.

Ref: conntrack-tools src/conntrack.c:do_parse, extensions/libct_proto_tcp.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from flowtable.conntrack.connection import SctpState, Status, TcpState
from flowtable.conntrack.line import NAMES
from flowtable.live.ctnetlink.request import ANY, Masked
from flowtable.live.ctnetlink.tuples import DCCP, WITH_PORTS
from flowtable.live.selection import Nat, Net, Selection, Side
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, IPV6, SCTP, TCP

if TYPE_CHECKING:
    from collections.abc import Callable

_Function: TypeAlias = "Callable[..., Any]"

LABELS: Final = Path("/etc/xtables/connlabel.conf")
"""Names of labels, a line each: the bit and its name."""
_PROTOCOLS: Final = {name: number for number, name in NAMES.items()}
_STATUS: Final = {
    "ASSURED": Status.ASSURED,
    "SEEN_REPLY": Status.SEEN_REPLY,
    "FIXED_TIMEOUT": Status.FIXED_TIMEOUT,
    "EXPECTED": Status.EXPECTED,
    "OFFLOAD": Status.OFFLOAD,
    "HW_OFFLOAD": Status.HW_OFFLOAD,
}
_ABSENT: Final = {
    ("-I", "--create"): "connections are not made",
    ("-A", "--add"): "connections are not made",
    ("-U", "--update"): "connections are not changed",
    ("-R", "--load-file"): "connections are not made",
    ("-c", "--secmark"): "connections are not chosen by security marks",
    ("-t", "--timeout"): "connections are not chosen by the time left",
    ("--tuple-src",): "expectations are not shown",
    ("--tuple-dst",): "expectations are not shown",
    ("--label-add",): "connections are not changed",
    ("--label-del",): "connections are not changed",
}
_ALL: Final = 0xFFFFFFFF
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")
_VALUES: Final[tuple[tuple[tuple[str, ...], str, str], ...]] = (
    (("-s", "--src", "--orig-src", "src"), "IP[/PREFIX]", "Source address of the original direction."),
    (("-d", "--dst", "--orig-dst", "dst"), "IP[/PREFIX]", "Destination address of the original direction."),
    (("-r", "--reply-src", "reply_src"), "IP", "Source address of the reply direction."),
    (("-q", "--reply-dst", "reply_dst"), "IP", "Destination address of the reply direction."),
    (("--mask-src", "mask_src"), "IP", "Which bits of --src count."),
    (("--mask-dst", "mask_dst"), "IP", "Which bits of --dst count."),
    (("-p", "--proto", "--protonum", "proto"), "PROTOCOL", "Transport protocol, by name or number."),
    (("--sport", "--orig-port-src", "sport"), "PORT", "Source port of the original direction."),
    (("--dport", "--orig-port-dst", "dport"), "PORT", "Destination port of the original direction."),
    (("--reply-port-src", "reply_sport"), "PORT", "Source port of the reply direction."),
    (("--reply-port-dst", "reply_dport"), "PORT", "Destination port of the reply direction."),
    (("--state", "state"), "STATE", "State of TCP, SCTP or DCCP."),
    (("--icmp-type", "icmp_type"), "NUMBER", "Type of ICMP."),
    (("--icmp-code", "icmp_code"), "NUMBER", "Code of ICMP."),
    (("--icmp-id", "icmp_id"), "NUMBER", "Identifier of ICMP."),
    (("-f", "--family", "family"), "ipv4|ipv6", "Network protocol."),
    (("-m", "--mark", "mark"), "MARK[/MASK]", "The mark."),
    (("-l", "--label", "label"), "NAME,...", "Labels by their names in connlabel.conf."),
    (("-u", "--status", "status"), "STATUS,...", "ASSURED, SEEN_REPLY, OFFLOAD, UNREPLIED, !ASSURED ..."),
    (("-w", "--zone", "zone"), "ZONE", "The zone of both directions."),
    (("--orig-zone", "zone_original"), "ZONE", "The zone of the original direction only."),
    (("--reply-zone", "zone_reply"), "ZONE", "The zone of the reply direction only."),
)
_NATS: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (("-n", "--src-nat", "snat"), "Source translated (to this)."),
    (("-g", "--dst-nat", "dnat"), "Destination translated (to this)."),
    (("-j", "--any-nat", "any_nat"), "Either translated (to this)."),
)


@dataclass(slots=True)
class Filters:
    """What the filter options say, as text; None where they are not given."""

    src: str | None
    dst: str | None
    reply_src: str | None
    reply_dst: str | None
    mask_src: str | None
    mask_dst: str | None
    proto: str | None
    sport: str | None
    dport: str | None
    reply_sport: str | None
    reply_dport: str | None
    state: str | None
    icmp_type: str | None
    icmp_code: str | None
    icmp_id: str | None
    family: str | None
    mark: str | None
    label: str | None
    status: str | None
    zone: str | None
    zone_original: str | None
    zone_reply: str | None
    snat: str | None
    dnat: str | None
    any_nat: str | None

    @property
    def given(self) -> list[str]:
        """Names of those that are."""
        return [name for name in self.__slots__ if getattr(self, name) is not None]

    def selection(self) -> Selection:
        """The connections that they select.

        Raises:
            click.UsageError: they mean nothing.
        """
        protocol = None if self.proto is None else _protocol(self.proto)
        self._check_protocol(protocol)
        source, destination = _net("--src", self.src, self.mask_src), _net("--dst", self.dst, self.mask_dst)
        reply_source, reply_destination = (
            _net("--reply-src", self.reply_src),
            _net("--reply-dst", self.reply_dst),
        )
        family = self._family(source, destination, reply_source, reply_destination)
        if self.any_nat is not None and (self.snat is not None or self.dnat is not None):
            raise click.UsageError("--any-nat cannot go with --src-nat or --dst-nat.")
        either = _nat("--any-nat", self.any_nat)
        return Selection(
            family=family,
            protocol=protocol,
            original=Side(source, destination, _port("--sport", self.sport), _port("--dport", self.dport)),
            reply=Side(
                reply_source,
                reply_destination,
                _port("--reply-port-src", self.reply_sport),
                _port("--reply-port-dst", self.reply_dport),
            ),
            icmp=(
                _number("--icmp-type", self.icmp_type, 0xFF),
                _number("--icmp-code", self.icmp_code, 0xFF),
                _number("--icmp-id", self.icmp_id, 0xFFFF),
            ),
            state=None if self.state is None else _state(self.state, protocol),
            mark=None if self.mark is None else _mark(self.mark),
            status=None if self.status is None else _status(self.status),
            labels=0 if self.label is None else _labels(self.label),
            zone=_number("--zone", self.zone, 0xFFFF),
            zone_original=_number("--orig-zone", self.zone_original, 0xFFFF),
            zone_reply=_number("--reply-zone", self.zone_reply, 0xFFFF),
            snat=either or _nat("--src-nat", self.snat),
            dnat=either or _nat("--dst-nat", self.dnat),
            any_nat=either is not None,
        )

    def _check_protocol(self, protocol: int | None) -> None:
        ports = (self.sport, self.dport, self.reply_sport, self.reply_dport)
        if any(port is not None for port in ports) and (protocol not in WITH_PORTS or protocol == GRE):
            raise click.UsageError("Ports need -p with a protocol that has them.")
        icmp = (self.icmp_type, self.icmp_code, self.icmp_id)
        if any(part is not None for part in icmp) and protocol not in (ICMP, ICMPV6):
            raise click.UsageError("--icmp-type, --icmp-code and --icmp-id need -p icmp or -p icmpv6.")

    def _family(self, *nets: Net | None) -> int:
        families = {IPV4 if len(net.address) == 4 else IPV6 for net in nets if net is not None}
        if self.family is not None:
            if self.family not in ("ipv4", "ipv6"):
                raise click.UsageError(f"--family {self.family}: it is ipv4 or ipv6.")
            families.add(IPV4 if self.family == "ipv4" else IPV6)
        if len(families) > 1:
            raise click.UsageError("The addresses are of different families.")
        return families.pop() if families else ANY


def filter_options(function: _Function) -> _Function:
    """The options that choose connections; those of conntrack that are not here are refused in words."""
    for names, text in reversed(_NATS):
        function = click.option(
            *names, is_flag=False, flag_value="", default=None, metavar="[IP[:PORT]]", help=text
        )(function)
    for names, metavar, text in reversed(_VALUES):
        function = click.option(*names, metavar=metavar, help=text)(function)
    for options, why in _ABSENT.items():
        function = click.option(
            *options, is_flag=True, hidden=True, expose_value=False, callback=_refuse(options[-1], why)
        )(function)
    return function


def _refuse(option: str, why: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def callback(context: click.Context, parameter: click.Parameter, given: bool) -> None:
        del context, parameter
        if given:
            raise click.UsageError(f"{option}: {why} here; conntrack itself does it.")

    return callback


def label_names() -> dict[int, str] | None:
    """Names of labels by bit; None where there is no file of them."""
    try:
        lines = LABELS.read_text(errors="replace").splitlines()
    except OSError:
        return None
    names: dict[int, str] = {}
    for line in lines:
        words = line.split("#", 1)[0].split()
        if len(words) >= 2 and words[0].isdigit() and int(words[0]) < 128:
            names.setdefault(int(words[0]), words[1])
    return names


def _protocol(text: str) -> int:
    if text.lower() in _PROTOCOLS:
        return _PROTOCOLS[text.lower()]
    number = _number("--proto", text, 0xFF) if _NUMBER.fullmatch(text) else None
    if number is None:
        raise click.UsageError(f"--proto {text}: it is one of {', '.join(_PROTOCOLS)}, or a number.")
    return number


def _number(option: str, text: str | None, limit: int) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or (value := int(text, 0 if text[:2] in ("0x", "0X") else 10)) > limit:
        raise click.UsageError(f"{option} {text}: it is a number from 0 to {limit}.")
    return value


def _port(option: str, text: str | None) -> int | None:
    return _number(option, text, 0xFFFF)


def _net(option: str, text: str | None, mask: str | None = None) -> Net | None:
    if text is None:
        if mask is not None:
            raise click.UsageError(f"{option.replace('--', '--mask-')} needs {option}.")
        return None
    address, slash, _ = text.partition("/")
    try:
        if slash and option.startswith("--reply"):
            raise click.UsageError(f"{option} takes an address without a prefix length.")
        network = ip_network(text if slash else address, strict=False)
        packed = ip_address(address).packed
        bits = network.netmask.packed if mask is None else ip_address(mask).packed
    except ValueError as error:
        raise click.UsageError(f"{option} {text}: {error}.") from None
    if len(bits) != len(packed):
        raise click.UsageError(f"{option} {text}: its mask is of another family.")
    return Net(packed, bits)


def _nat(option: str, text: str | None) -> Nat | None:
    if text is None:
        return None
    if not text:
        return Nat()
    found = re.fullmatch(r"\[(?P<six>[^]]*)\](?::(?P<port>\d+))?|(?P<four>[^:]*)(?::(?P<last>\d+))?", text)
    address, port = text, None
    if found:
        address, port = found["six"] or found["four"] or "", found["port"] or found["last"]
    try:
        packed = ip_address(address).packed if address else None
    except ValueError as error:
        raise click.UsageError(f"{option} {text}: {error}.") from None
    return Nat(packed, _port(option, port))


def _state(text: str, protocol: int | None) -> int:
    match protocol:
        case _ if protocol == TCP:
            names = {state.name: int(state) for state in TcpState}
        case _ if protocol in (SCTP, DCCP):
            names = {state.name: int(state) for state in SctpState}
        case _:
            raise click.UsageError("--state needs -p with a protocol that has states.")
    if text.upper() not in names:
        raise click.UsageError(f"--state {text}: it is one of {', '.join(names)}.")
    return names[text.upper()]


def _mark(text: str) -> Masked:
    value, slash, mask = text.partition("/")
    number, bits = (
        _number("--mark", value, 0xFFFFFFFF),
        _number("--mark", mask if slash else "0xffffffff", 0xFFFFFFFF),
    )
    assert number is not None and bits is not None
    return Masked(number, bits)


def _status(text: str) -> Masked:
    value = mask = 0
    for word in text.split(","):
        name = word.upper().removeprefix("!")
        if word.upper() == "UNREPLIED":
            mask |= Status.SEEN_REPLY
        elif name in _STATUS:
            mask |= _STATUS[name]
            value |= 0 if word.startswith("!") else _STATUS[name]
        else:
            raise click.UsageError(f"--status {word}: it is one of {', '.join((*_STATUS, 'UNREPLIED'))}.")
    return Masked(value, mask)


def _labels(text: str) -> int:
    names = label_names()
    if names is None:
        raise click.UsageError(f"--label: there are no names of labels in {LABELS}.")
    bits = {name: bit for bit, name in names.items()}
    labels = 0
    for name in text.split(","):
        if name not in bits:
            raise click.UsageError(f"--label {name}: it is not in {LABELS}.")
        labels |= 1 << bits[name]
    return labels
