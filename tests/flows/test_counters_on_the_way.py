"""What rules read of a connection while the fast path has it."""

from __future__ import annotations

from tests.lab import BOX, Lab, udp, udp_reply

RULES = """
table inet x {
    flowtable f {
        hook ingress priority filter; devices = { lan0, wan0 }; counter
    }
    chain y {
        type filter hook forward priority filter; policy accept;
        flow add @f
        ct state established counter
        ct packets > 5 counter
    }
}
"""


def test_a_packet_on_the_classic_path_finds_what_the_fast_path_saw():
    lab = Lab(RULES, box_file=BOX.replace("name: wan0,", "name: wan0, mtu: 1400,") + ACCOUNTING)
    lab.client(udp())
    lab.client(udp())
    for _ in range(4):
        lab.server(udp_reply())
    assert lab.statistics.bypass == 4
    lab.client(udp(size=1380))
    listing = lab.listing()
    assert "ct state established counter packets 1 bytes 1408" in listing
    assert "ct packets > 5 counter packets 1 bytes 1408" in listing


ACCOUNTING = "  net.netfilter.nf_conntrack_acct: 1\n"
