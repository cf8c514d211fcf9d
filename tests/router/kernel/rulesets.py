"""The rules of the recorded router, by the word in front of the colon of a case's name."""

RULESETS = {
    "": "",
    "tracked": """
table inet t {
    chain f {
        type filter hook forward priority 0
        ct state established accept
    }
}
""",
    "rejected": """
table inet t {
    chain p {
        type filter hook prerouting priority 0
        udp dport 7001 reject with icmpx type host-unreachable
        tcp dport 7001 reject with tcp reset
    }
    chain f {
        type filter hook forward priority 0
        ct state established accept
        tcp dport 7002 reject with tcp reset
        tcp dport 7003 reject
        udp dport 7002 reject with icmpx type admin-prohibited
        meta l4proto 253 reject
    }
    chain i {
        type filter hook input priority 0
        tcp dport 7004 reject with tcp reset
        udp dport 7004 reject with icmpx type no-route
        meta l4proto { icmp, icmpv6 } reject
    }
}
""",
    "translated": """
table inet t {
    chain pre {
        type nat hook prerouting priority dstnat
        ip daddr 10.1.0.1 udp dport 5353 dnat ip to 10.2.0.2:53
        ip6 daddr 2001:db8:1::1 udp dport 5353 dnat ip6 to [2001:db8:2::2]:53
        ip daddr 10.1.0.1 udp dport 5354 dnat ip to 10.66.0.1:53
    }
    chain post {
        type nat hook postrouting priority srcnat
        oifname "b0" masquerade
    }
    chain f {
        type filter hook forward priority 0
        tcp dport 7002 reject with tcp reset
        udp dport 7002 reject
    }
}
""",
}


def phase(case: str) -> str:
    """Which of the rulesets a case is for."""
    word, colon, _ = case.partition(":")
    return word if colon else ""
