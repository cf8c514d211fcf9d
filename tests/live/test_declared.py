"""What of the rules in the kernel concerns flows."""

from __future__ import annotations

from flowtable.live.declared import attachments

LISTING = """
table netdev n {
	chain a {
		type filter hook ingress device "d0" priority filter; policy accept;
	}
	chain b {
		type filter hook ingress devices = { d0, e0 } priority filter; policy accept;
	}
	chain c {
		type filter hook egress device "d1" priority filter - 5; policy accept;
	}
	chain not-attached {
	}
}
table inet i {
	chain f {
		type filter hook forward priority filter; policy accept;
	}
}
"""


def test_devices_of_chains():
    assert attachments(LISTING) == {"ingress": {"d0", "e0"}, "egress": {"d1"}}
