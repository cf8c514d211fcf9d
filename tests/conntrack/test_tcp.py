"""TCP beyond the table: windows, resets, timeouts, and being out of step."""

from __future__ import annotations

import pytest

from flowtable.clock import SECOND
from flowtable.conntrack.connection import Status, TcpFlag, TcpState
from tests.conntrack.wire import (
    CLIENT,
    CLIENT6,
    MSS,
    SACK_OK,
    SERVER,
    SERVER6,
    Lab,
    right_checksums,
    sack,
    state,
    tcp,
    wscale,
)


class Talk:
    """Segments between two ends, numbered by the test."""

    def __init__(self, **sysctls: int) -> None:
        self.lab = Lab(translating=False)
        for name, value in sysctls.items():
            self.lab.topology.sysctls.set(f"net.netfilter.nf_conntrack_{name}", value)
        self.lab.follow_sysctls()

    def a(self, flags: str, seq: int, ack: int = 0, **kw) -> str:
        return state(self.lab.forward(tcp(CLIENT, SERVER, 40000, 443, flags, seq, ack, **kw)))

    def b(self, flags: str, seq: int, ack: int = 0, **kw) -> str:
        return state(self.lab.forward(tcp(SERVER, CLIENT, 443, 40000, flags, seq, ack, **kw), back=True))

    def shake(self, *, a: bytes = b"", b: bytes = b"", win: int = 65535) -> None:
        """The handshake; the client goes on at 1001, the server at 5001."""
        assert self.a("S", 1000, options=a, win=win) == "new"
        assert self.b("SA", 5000, 1001, options=b, win=win) == "established"
        assert self.a("A", 1001, 5001, win=win) == "established"

    @property
    def state(self) -> str:
        return TcpState(self.lab.tcp().state).name

    @property
    def assured(self) -> bool:
        return self.lab.only().status & Status.ASSURED != 0

    @property
    def left(self) -> int:
        return self.lab.left()

    def wait(self, seconds: float) -> None:
        self.lab.now += int(seconds * SECOND)


def test_life_of_a_connection():
    t = Talk()
    assert t.a("S", 1000) == "new"
    assert (t.state, t.left, t.assured) == ("SYN_SENT", 120, False)
    assert t.b("SA", 5000, 1001) == "established"
    assert (t.state, t.left, t.assured) == ("SYN_RECV", 60, False)
    assert t.a("A", 1001, 5001) == "established"
    assert (t.state, t.left, t.assured) == ("ESTABLISHED", 432000, True)
    t.a("PA", 1001, 5001, data=b"x" * 100)
    assert t.left == 300  # not acknowledged
    t.b("A", 5001, 1101)
    assert t.left == 432000
    t.a("FA", 1101, 5001)
    assert (t.state, t.left) == ("FIN_WAIT", 120)
    t.b("A", 5001, 1102)
    assert (t.state, t.left) == ("CLOSE_WAIT", 60)
    t.b("FA", 5001, 1102)
    assert (t.state, t.left) == ("LAST_ACK", 30)
    t.a("A", 1102, 5002)
    assert (t.state, t.left) == ("TIME_WAIT", 120)
    t.wait(121)
    t.lab.conntrack.expire(t.lab.now)
    assert len(t.lab.conntrack) == 0


def test_over_ipv6():
    lab = Lab(translating=False)
    assert state(lab.forward(tcp(CLIENT6, SERVER6, flags="S"))) == "new"
    assert state(lab.forward(tcp(SERVER6, CLIENT6, 443, 40000, "SA", 9, 1), back=True)) == "established"
    assert lab.tcp().state == TcpState.SYN_RECV


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda raw: raw[:39], "shorter than a header"),
        (lambda raw: raw[:32] + b"\x40" + raw[33:], "data offset below 5"),
        (lambda raw: raw[:32] + b"\xf0" + raw[33:], "data offset beyond the packet"),
        (lambda raw: raw[:33] + b"\x03" + raw[34:], "SYN with FIN"),
        (lambda raw: raw[:33] + b"\x00" + raw[34:], "no flags"),
    ],
)
def test_malformed_segments_are_invalid(broken, why):
    t = Talk(checksum=0)
    p = t.lab.forward(broken(tcp(CLIENT, SERVER, flags="S")))
    assert state(p) == "invalid", why
    assert len(t.lab.conntrack) == 0


@pytest.mark.parametrize(("check", "expected"), [(1, "invalid"), (0, "new")])
def test_checksum_counts_at_prerouting_if_the_sysctl_says_so(check, expected):
    t = Talk(checksum=check)
    raw = bytearray(tcp(CLIENT, SERVER, flags="S"))
    raw[-1] ^= 1
    assert state(t.lab.forward(bytes(raw))) == expected


def test_checksum_does_not_count_at_output():
    t = Talk()
    raw = bytearray(tcp("10.0.2.1", SERVER, flags="S"))
    raw[-1] ^= 1
    assert state(t.lab.send(bytes(raw))) == "new"


class TestPickup:
    def test_loose(self):
        t = Talk()
        assert t.a("A", 1000, 5000) == "new"
        assert (t.state, t.left) == ("ESTABLISHED", 300)
        for window in t.lab.tcp().seen:
            assert window.flags & TcpFlag.BE_LIBERAL
        # Only what follows the first answer counts as established for good.
        assert t.b("A", 5000, 1000) == "established"
        assert (t.state, t.left, t.assured) == ("ESTABLISHED", 300, False)
        assert t.a("A", 1000, 5000) == "established"
        assert (t.state, t.left, t.assured) == ("ESTABLISHED", 432000, True)

    def test_not_loose(self):
        t = Talk(tcp_loose=0)
        assert t.a("A", 1000, 5000) == "invalid"
        assert t.a("S", 1000) == "new"

    @pytest.mark.parametrize("flags", ["SA", "FA", "R", "RA"])
    def test_only_by_an_acknowledgement(self, flags):
        assert Talk().a(flags, 1000, 5000) == "invalid"


class TestSynSent:
    def test_repeated_syn_does_not_renew_the_timeout(self):
        t = Talk()
        t.a("S", 1000)
        t.wait(50)
        assert t.a("S", 1000) == "new"
        assert t.left == 70

    def test_syn_of_higher_number_starts_over(self):
        t = Talk()
        t.a("S", 1000, options=MSS + wscale(7))
        t.a("S", 900_000, options=MSS)
        window = t.lab.tcp().seen[0]
        assert (window.end, window.scale, window.flags & TcpFlag.WINDOW_SCALE) == (900_001, 0, 0)
        assert t.b("SA", 5000, 900_001) == "established"

    def test_ack_instead_of_syn_ack_is_let_pass(self):
        """A half-open connection: the server answers with a challenge, the client resets it."""
        t = Talk()
        t.a("S", 1000)
        assert t.b("A", 77777, 4444) == "established"
        assert t.state == "SYN_SENT"
        assert t.a("R", 4444) == "established"
        assert t.state == "CLOSE"

    def test_reset_as_the_only_answer_ends_it(self):
        t = Talk(acct=1)
        t.a("S", 1000)
        connection = t.lab.only()
        removed = []
        t.lab.conntrack.subscribe(lambda c, now, reason: removed.append((c, reason.name)))
        assert t.b("RA", 0, 1001) == "established"
        assert len(t.lab.conntrack) == 0
        assert removed == [(connection, "RESET")]
        assert connection.packets == [1, 1]

    def test_simultaneous_open(self):
        t = Talk()
        assert t.a("S", 1000) == "new"
        assert t.b("S", 5000) == "established"
        assert (t.state, t.left) == ("SYN_SENT2", 120)
        t.a("SA", 1000, 5001)
        assert t.state == "SYN_RECV"
        t.b("A", 5001, 1001)
        assert t.state == "ESTABLISHED"
        assert t.assured


class TestWindow:
    def test_scale_holds_only_if_both_sides_have_it(self):
        t = Talk()
        t.shake(a=MSS + wscale(7), b=MSS)
        assert [w.scale for w in t.lab.tcp().seen] == [0, 0]
        t = Talk()
        t.shake(a=wscale(7), b=wscale(9))
        assert [w.scale for w in t.lab.tcp().seen] == [7, 9]

    def test_scale_is_at_most_14(self):
        t = Talk()
        t.shake(a=wscale(15), b=wscale(3))
        assert t.lab.tcp().seen[0].scale == 14

    def test_data_beyond_the_window(self):
        t = Talk()
        t.shake(win=1000)
        assert t.a("A", 1001 + 1000, 5001) == "established"
        assert t.a("PA", 1001 + 5000, 5001, data=b"x") == "invalid"

    def test_data_in_the_scaled_window(self):
        t = Talk()
        t.shake(a=wscale(0), b=wscale(4), win=1000)
        t.b("A", 5001, 1001, win=1000)
        assert t.a("PA", 1001 + 15_000, 5001, data=b"x") == "established"

    def test_a_little_too_much_is_let_pass(self):
        t = Talk()
        t.shake(win=1000)
        t.a("PA", 1001, 5001, data=b"x" * 1000, win=1000)
        # One packet more than the window allows: not remembered as valid, but what it sent is.
        assert t.a("PA", 2002, 5001, data=b"x" * 300, win=1000) == "established"
        assert t.lab.tcp().seen[0].end == 2302
        assert t.b("A", 5001, 2302, win=1000) == "established"

    def test_acknowledgement_of_what_was_not_sent(self):
        t = Talk()
        t.shake()
        assert t.a("A", 1001, 5002) == "invalid"

    def test_old_data_is_ignored(self):
        t = Talk()
        t.shake(win=1000)
        tracking = t.lab.tcp()
        before = (tracking.last_seq, tracking.last_end)
        assert t.a("PA", 1001 - 3000, 5001, data=b"x", win=1000) == "established"
        assert (tracking.last_seq, tracking.last_end) == before

    def test_very_old_acknowledgement_is_ignored(self):
        t = Talk()
        t.shake()
        window = t.lab.tcp().seen[0]
        assert t.a("A", 1001, 5001 - 70_000) == "established"
        assert window.maxack == 5001

    def test_sack_blocks_count_as_acknowledgement(self):
        t = Talk()
        t.shake(a=SACK_OK, b=SACK_OK)
        t.b("PA", 5001, 1001, data=b"x" * 1400)
        t.b("PA", 6401, 1001, data=b"x" * 1400)
        assert t.a("A", 1001, 5001, options=sack((6401, 7801))) == "established"
        assert t.a("A", 1001, 5001, options=sack((6401, 7802))) == "invalid"

    def test_sack_blocks_do_not_count_where_not_agreed(self):
        t = Talk()
        t.shake()
        assert t.a("A", 1001, 5001, options=sack((90_000, 99_000))) == "established"

    @pytest.mark.parametrize("liberal", ["sysctl", "connection"])
    def test_liberal(self, liberal):
        t = Talk(tcp_be_liberal=int(liberal == "sysctl"))
        t.shake(win=1000)
        if liberal == "connection":
            t.lab.tcp().make_liberal()
        assert t.a("PA", 900_000, 5001, data=b"x") == "established"
        assert t.a("A", 1001, 900_000) == "established"

    def test_windows_are_learnt_anew(self):
        """As after the fast path had the connection."""
        t = Talk()
        t.shake(win=1000)
        assert t.a("PA", 500_000, 5001, data=b"x") == "invalid"
        t.lab.tcp().forget_windows()
        assert t.a("PA", 500_000, 900_000, data=b"x") == "established"
        assert t.b("PA", 900_000, 500_001, data=b"x") == "established"

    def test_numbers_wrap(self):
        t = Talk()
        assert t.a("S", 0xFFFFFFFF) == "new"
        assert t.b("SA", 0xFFFFFFF0, 0) == "established"
        assert t.a("A", 0, 0xFFFFFFF1) == "established"
        assert t.b("PA", 0xFFFFFFF1, 0, data=b"x" * 100) == "established"
        assert t.a("A", 0, 0x55) == "established"
        assert t.lab.tcp().seen[1].end == 0x55
        assert t.left == 432000

    def test_answer_to_a_keepalive(self):
        t = Talk()
        t.shake()
        t.lab.tcp().seen[1].maxwin = 0
        assert t.b("A", 5001, 1002) == "established"

    @pytest.mark.parametrize(
        "options", [b"\x03", b"\x03\x00", b"\x03\x01", b"\x03\xff\x07", b"\x00\x03\x03\x07"]
    )
    def test_broken_options_end_the_search(self, options):
        t = Talk()
        assert t.a("S", 1000, options=options) == "new"
        assert t.lab.tcp().seen[0].flags & TcpFlag.WINDOW_SCALE == 0
        t = Talk()
        t.shake(a=SACK_OK, b=SACK_OK)
        assert t.a("A", 1001, 5001, options=options.replace(b"\x03", b"\x05")) == "established"


class TestTimeouts:
    def test_repeated_segments(self):
        t = Talk()
        t.shake()
        t.b("PA", 5001, 1001, data=b"x")
        t.a("A", 1001, 5002)
        for _ in range(3):
            assert t.left == 432000
            t.a("A", 1001, 5002)
        assert t.left == 300

    def test_closed_window(self):
        t = Talk(tcp_timeout_max_retrans=77)
        t.shake()
        t.a("A", 1001, 5001, win=0)
        assert t.left == 77

    def test_reset_that_is_not_exact(self):
        t = Talk()
        t.shake()
        t.b("A", 5001, 1001)
        assert t.b("R", 5010) == "established"
        assert (t.state, t.left) == ("ESTABLISHED", 10)

    def test_sysctls(self):
        t = Talk(tcp_timeout_syn_sent=5, tcp_timeout_established=50)
        t.a("S", 1000)
        assert t.left == 5
        t.b("SA", 5000, 1001)
        t.a("A", 1001, 5001)
        assert t.left == 50

    def test_out_of_window_ends_shorten_it(self):
        t = Talk()
        t.shake()
        assert t.a("FA", 900_000, 5001) == "invalid"
        assert t.left == 432000
        assert t.b("FA", 900_000, 1001) == "invalid"
        assert t.left == 300

    def test_out_of_window_ends_do_not_lengthen_it(self):
        t = Talk(tcp_timeout_established=100)
        t.shake()
        t.a("FA", 900_000, 5001)
        t.b("FA", 900_000, 1001)
        assert t.left == 100


class TestReset:
    def test_exact(self):
        t = Talk()
        t.shake()
        assert t.b("R", 5001) == "established"
        assert (t.state, t.left) == ("CLOSE", 10)

    def test_before_what_was_acknowledged(self):
        t = Talk()
        t.shake()
        assert t.b("R", 5000) == "invalid"
        assert t.state == "ESTABLISHED"

    def test_before_what_was_acknowledged_where_the_sysctl_lets_it(self):
        t = Talk(tcp_ignore_invalid_rst=1)
        t.shake()
        assert t.b("R", 5000) == "established"

    def test_at_the_end_of_a_train(self):
        t = Talk()
        t.shake()
        t.b("PA", 5001, 1001, data=b"x" * 19)
        assert t.b("R", 5020) == "established"
        assert t.state == "CLOSE"

    def test_numbered_0_before_the_connection_stands(self):
        """The likely answer to a SYN that was let pass."""
        t = Talk()
        t.a("S", 1000)
        t.b("SA", 5000, 1001)
        t.b("PA", 5001, 1001, data=b"x")
        assert t.a("R", 0) == "established"
        assert t.state == "CLOSE"

    def test_while_closing_is_not_checked(self):
        t = Talk()
        t.shake()
        t.a("FA", 1001, 5001)
        assert t.b("R", 12345) == "established"
        assert t.state == "CLOSE"


class TestOutOfStep:
    def test_ignored_syn_and_its_answer(self):
        """The client starts over on a connection that the box still thinks established."""
        t = Talk()
        t.shake(a=wscale(2), b=wscale(2))
        assert t.a("S", 700_000, options=wscale(5) + SACK_OK) == "established"
        assert t.state == "ESTABLISHED"
        assert t.b("SA", 800_000, 700_001, options=wscale(6) + SACK_OK) == "established"
        assert t.state == "SYN_RECV"
        assert [w.scale for w in t.lab.tcp().seen] == [5, 6]
        assert t.a("A", 700_001, 800_001) == "established"
        assert t.state == "ESTABLISHED"
        assert t.a("PA", 700_001, 800_001, data=b"x") == "established"

    def test_ignored_syn_and_a_reset(self):
        t = Talk()
        t.shake()
        t.a("S", 700_000)
        assert t.b("RA", 123_456_789, 700_001) == "established"
        assert t.state == "CLOSE"

    def test_ignored_syn_and_a_reset_of_the_same_side(self):
        """Linux 6.18: only the side that got the SYN may answer it."""
        t = Talk()
        t.shake()
        t.a("S", 700_000)
        assert t.a("RA", 123_456_789, 700_001) == "invalid"

    def test_challenge_ack_is_not_the_last_ack(self):
        t = Talk()
        t.shake()
        t.a("FA", 1001, 5001)
        t.b("A", 5001, 1002)
        t.b("FA", 5001, 1002)
        assert t.state == "LAST_ACK"
        assert t.a("S", 700_000) == "established"
        assert t.b("A", 5002, 1002) == "established"
        assert t.state == "LAST_ACK"
        assert t.b("A", 5002, 1002) == "established"
        assert t.state == "TIME_WAIT"


class TestReopening:
    def close(self) -> Talk:
        t = Talk()
        t.shake()
        t.a("FA", 1001, 5001)
        t.b("FA", 5001, 1002)
        t.a("A", 1002, 5002)
        assert t.state == "TIME_WAIT"
        return t

    def test_syn_in_time_wait(self):
        t = self.close()
        old = t.lab.only()
        removed = []
        t.lab.conntrack.subscribe(lambda c, now, reason: removed.append((c, now, reason.name)))
        assert t.a("S", 2000) == "new"
        assert t.lab.only() is not old
        assert old.dying
        assert removed == [(old, t.lab.now, "REOPENED")]
        assert (t.state, t.left) == ("SYN_SENT", 120)

    def test_syn_of_the_server_in_time_wait(self):
        t = self.close()
        assert t.b("S", 9000) == "new"
        assert t.lab.only().original.sport == 443

    def test_syn_after_a_reset_of_the_same_side(self):
        t = Talk()
        t.shake()
        t.a("R", 1001)
        assert t.state == "CLOSE"
        assert t.a("S", 2000) == "new"

    def test_syn_after_a_reset_of_the_other_side(self):
        t = Talk()
        t.shake()
        t.b("R", 5001)
        assert t.a("S", 2000) == "established"
        assert t.state == "CLOSE"

    def test_close_init_of_the_fast_path(self):
        """The fast path saw a FIN: the flow's teardown says so, and a SYN starts over."""
        t = Talk()
        t.shake()
        t.lab.tcp().state = TcpState.CLOSE
        t.lab.tcp().seen[0].flags |= TcpFlag.CLOSE_INIT
        assert t.a("S", 2000) == "new"


def test_the_builder_of_these_tests_counts_checksums_rightly():
    assert right_checksums(tcp(CLIENT, SERVER, data=b"odd"))
    assert right_checksums(tcp(CLIENT6, SERVER6, data=b"odd"))
    assert not right_checksums(tcp(CLIENT, SERVER, data=b"odd")[:-1] + b"x")
