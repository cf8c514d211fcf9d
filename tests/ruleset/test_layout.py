"""The layout of ruleset files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtable.ruleset import RulesetError
from flowtable.ruleset.layout import lay_out

BEFORE = """\
#!/usr/sbin/nft -f
flush ruleset


define lan={ "lan0","lan1" }   # two of them
table inet t { # ours
  flowtable f { hook ingress priority 0; devices={lan0,wan0}; counter; }
  set s { type ipv4_addr; flags interval;
    elements = { 10.0.0.0/8,  # private

      # and one more
      192.0.2.1 comment "x" }
  }


  chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related   accept ; tcp dport {22,80}  accept
    iifname $lan tcp dport vmap {22:accept,80 : drop} # a trailing comment
    ip saddr 10.0.0.1 \\
       counter
    jump { drop; }
  }
}
add rule inet t forward ip daddr 10.0.0.0/8-x-y drop
"""

AFTER = """\
#!/usr/sbin/nft -f
flush ruleset

define lan = { "lan0", "lan1" } # two of them
table inet t {
	# ours
	flowtable f {
		hook ingress priority 0
		devices = { lan0, wan0 }
		counter
	}
	set s {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.0/8, # private

			# and one more
			192.0.2.1 comment "x" }
	}

	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		tcp dport { 22, 80 } accept
		iifname $lan tcp dport vmap { 22 : accept, 80 : drop } # a trailing comment
		ip saddr 10.0.0.1 \\
			counter
		jump {
			drop
		}
	}
}
add rule inet t forward ip daddr 10.0.0.0/8-x-y drop
"""


def test_layout() -> None:
    assert lay_out(BEFORE, "x.nft") == AFTER
    assert lay_out(AFTER, "x.nft") == AFTER


def test_a_file_that_ends_without_a_newline() -> None:
    assert lay_out("table ip t { }", "x.nft") == "table ip t {\n}\n"
    assert lay_out("", "x.nft") == ""
    assert lay_out("\n\n# only a comment", "x.nft") == "# only a comment\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table ip t {\n", "x.nft:1:12-12: Error: this brace is never closed"),
        ("table ip t { }\n}\n", "x.nft:2:1-1: Error: syntax error, unexpected '}'"),
        ("table ip t { };\r\n", "x.nft:1:16-16: Error: syntax error, unexpected junk"),
    ],
)
def test_what_cannot_be_laid_out(text: str, message: str) -> None:
    with pytest.raises(RulesetError) as caught:
        lay_out(text, "x.nft")
    assert str(caught.value).splitlines()[0] == message


KEYWORDS = ["table", "chain", "set", "elements", "type", "policy", "x", "22", "jump", "hook"]
WORDS = st.sampled_from([*"{};,:=.-/$@# \n", "\\\n", '"a b"', *KEYWORDS])


@given(st.lists(WORDS).map("".join))
def test_whatever_can_be_laid_out_is_stable_and_keeps_its_tokens(text: str) -> None:
    try:
        laid_out = lay_out(text, "x.nft")
    except RulesetError:
        return
    assert lay_out(laid_out, "x.nft") == laid_out


def test_a_block_inside_of_a_list_that_never_should_be() -> None:
    text = lay_out("table ip t {\nchain c {\nx{ jump {\ndrop\n}\ny }\n}\n}\n", "x.nft")
    assert lay_out(text, "x.nft") == text


def test_a_header_that_goes_on_in_the_next_line() -> None:
    text = "chain c {\n\ttype filter hook input priority 0; policy \\\n\t\taccept;\n}\n"
    assert lay_out(text, "x.nft") == text


def test_a_hash_sign_in_a_string_begins_no_comment() -> None:
    text = 'chain c {\n\ttype filter hook ingress device "a #b" priority 0 # there\n}\n'
    assert lay_out(text, "rules.nft") == text.replace("priority 0 #", "priority 0; #")
