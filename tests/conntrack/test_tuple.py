from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtable.conntrack.tuple import Tuple, from_key
from flowtable.packet.packet import GRE, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP
from tests.conntrack.wire import CLIENT, CLIENT6, SERVER, SERVER6, addr

ports = st.integers(0, 0xFFFF)
tuples4 = st.builds(
    Tuple,
    st.just(IPV4),
    st.sampled_from([TCP, UDP, GRE, 253]),
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=4, max_size=4),
    ports,
    ports,
)
tuples6 = st.builds(
    Tuple,
    st.just(IPV6),
    st.sampled_from([TCP, UDP, GRE, 253]),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    ports,
    ports,
)


@given(tuples4 | tuples6)
def test_keys_stand_for_tuples(tuple_):
    assert from_key(tuple_.key) == tuple_


@given(tuples4 | tuples6)
def test_inverting_swaps_the_ends(tuple_):
    inverse = tuple_.invert()
    assert (inverse.src, inverse.sport) == (tuple_.dst, tuple_.dport)
    assert (inverse.dst, inverse.dport) == (tuple_.src, tuple_.sport)
    assert inverse.invert() == tuple_


@pytest.mark.parametrize(
    ("l4proto", "kind", "answer"),
    [
        (ICMP, 8, 0),
        (ICMP, 0, 8),
        (ICMP, 13, 14),
        (ICMP, 14, 13),
        (ICMP, 15, 16),
        (ICMP, 16, 15),
        (ICMP, 17, 18),
        (ICMP, 18, 17),
        (ICMP, 3, None),
        (ICMP, 128, None),
        (ICMPV6, 128, 129),
        (ICMPV6, 129, 128),
        (ICMPV6, 139, 140),
        (ICMPV6, 140, 139),
        (ICMPV6, 8, None),
        (ICMPV6, 135, None),
    ],
)
def test_queries_are_answered_by_another_type_with_the_same_identifier(l4proto, kind, answer):
    family, src, dst = (IPV4, CLIENT, SERVER) if l4proto == ICMP else (IPV6, CLIENT6, SERVER6)
    query = Tuple(family, l4proto, addr(src), addr(dst), 77, kind << 8 | 3)
    assert (query.icmp_type, query.icmp_code, query.icmp_id) == (kind, 3, 77)
    inverse = query.invert()
    if answer is None:
        assert inverse is None
        with pytest.raises(ValueError, match="nothing answers"):
            query.inverse()
    else:
        assert query.inverse() == inverse == Tuple(family, l4proto, addr(dst), addr(src), 77, answer << 8 | 3)
