"""Look-ups find what a search through all elements finds, whatever the elements."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.packet.packet import IPV4, Packet
from flowtable.ruleset import parse
from flowtable.ruleset.evaluate import compile_ruleset
from flowtable.ruleset.field_tree import FieldTree, GrowingTree
from flowtable.ruleset.hook import Hook
from flowtable.ruleset.lookup import Lookup
from flowtable.ruleset.types.base import Value
from flowtable.ruleset.verdict import Verdict
from tests.ruleset.box import FakeBox

SMALL = st.integers(0, 20)
BOUNDS = st.tuples(SMALL, SMALL).map(lambda pair: (min(pair), max(pair)))


def covers(box: tuple[tuple[int, int], ...], point: tuple[int, ...]) -> bool:
    return all(low <= value <= high for (low, high), value in zip(box, point, strict=True))


@st.composite
def boxes_and_points(draw: st.DrawFn):
    fields = draw(st.integers(1, 3))
    box = st.tuples(*[BOUNDS] * fields)
    point = st.tuples(*[SMALL] * fields)
    return draw(st.lists(box, min_size=1, max_size=12)), draw(st.lists(point, min_size=1, max_size=20))


@given(boxes_and_points())
def test_the_first_box_around_a_point(drawn) -> None:
    boxes, points = drawn
    tree = FieldTree([(box, number) for number, box in enumerate(boxes)])
    for point in points:
        expected = next((number for number, box in enumerate(boxes) if covers(box, point)), None)
        assert tree.first(point) == expected


@given(boxes_and_points())
def test_boxes_added_one_by_one(drawn) -> None:
    boxes, points = drawn
    tree = GrowingTree(boxes[:3])
    for box in boxes[3:]:
        tree.add(box)
    for point in points:
        assert tree.around(point) is any(covers(box, point) for box in boxes)


@given(st.lists(SMALL, unique=True, max_size=21), st.lists(SMALL, unique=True))
def test_intervals_and_single_values(edges: list[int], single: list[int]) -> None:
    edges.sort()
    intervals = list(zip(edges[::2], edges[1::2], strict=False))
    members: dict[Value, object] = dict.fromkeys(single, "single")
    find = Lookup(members, [(low, high, (low, high)) for low, high in intervals]).finder()
    for value in range(-1, 22):
        around = next(((low, high) for low, high in intervals if low <= value <= high), None)
        assert find(value) == ("single" if value in single else around)


@given(st.lists(st.text("ab0", min_size=1, max_size=4), unique=True), st.text("ab0", max_size=6))
def test_wildcards(prefixes: list[str], name: str) -> None:
    prefixes = [
        prefix for prefix in prefixes if not any(prefix != p and prefix.startswith(p) for p in prefixes)
    ]
    find = Lookup[str]({}, prefixes=[(prefix, prefix) for prefix in prefixes]).finder()
    assert find(name) == next((prefix for prefix in prefixes if name.startswith(prefix)), None)


def packet_from(address: int, port: int, protocol: int = 17) -> Packet:
    """The packet of a datagram."""
    header = bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0])
    data = header + address.to_bytes(4, "big") + bytes(4) + bytes(2) + port.to_bytes(2, "big") + bytes(4)
    return Packet(bytearray(data), IPV4, thoff=20, l4proto=protocol)


ADDRESS = st.integers(0, 15).map(lambda last: f"10.0.0.{last}")
PREFIX = st.integers(28, 32).flatmap(lambda length: ADDRESS.map(lambda address: f"{address}/{length}"))
PORTS = BOUNDS.map(lambda pair: f"{pair[0]}-{pair[1]}" if pair[0] < pair[1] else str(pair[0]))


@settings(max_examples=60)
@given(st.lists(st.tuples(PREFIX, PORTS), min_size=1, max_size=6))
def test_concatenations_as_rules_one_by_one(elements: list[tuple[str, str]]) -> None:
    """A set of concatenations matches what any of as many rules matches."""
    head = "table ip t {{\nchain c {{\ntype filter hook forward priority 0; policy drop;\n{}\n}}\n}}\n"
    alone = [f"ip saddr {prefix} udp dport {ports} accept" for prefix, ports in elements]
    declared = "".join(
        f"set s{number} {{ type ipv4_addr . inet_service; flags interval;"
        f" elements = {{ {prefix} . {ports} }}; }}\n"
        for number, (prefix, ports) in enumerate(elements)
    )
    rules = "\n".join(f"ip saddr . udp dport @s{number} accept" for number in range(len(elements)))
    one = chain(head.format("\n".join(alone)))
    other = chain(
        head.replace("chain c", declared.replace("{", "{{").replace("}", "}}") + "chain c").format(rules)
    )
    for address in range(16):
        for port in (0, 7, 13, 20):
            packet = packet_from(0x0A000000 + address, port)
            assert one(packet) == other(packet)


def chain(text: str):
    program = compile_ruleset(parse(text, "set.nft"), FakeBox())
    (base,) = program.chains(IPV4, Hook.FORWARD)
    return base


def elements_of(count: int) -> str:
    return ", ".join(
        f"{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}.0-{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}.9"
        for n in range(count)
    )


def test_a_large_set_costs_no_more_than_a_small_one() -> None:
    """The figures are in the benchmark; here ten times the elements must not cost ten times the time."""
    costs = {}
    for count in (20, 20_000):
        text = (
            "table ip t {\n"
            f"set s {{ type ipv4_addr; flags interval; elements = {{ {elements_of(count)} }}; }}\n"
            "chain c {\ntype filter hook forward priority 0; policy drop;\nip saddr @s accept\n}\n}\n"
        )
        base = chain(text)
        packets = [packet_from((count // 2) << 8 | last, 53) for last in (3, 200)]
        assert [base(packet) for packet in packets] == [Verdict.ACCEPT, Verdict.DROP]
        best = float("inf")
        for _ in range(5):
            begin = time.perf_counter()
            for _ in range(500):
                base(packets[0])
            best = min(best, time.perf_counter() - begin)
        costs[count] = best
    assert costs[20_000] < 10 * costs[20]
