"""Named objects as JSON.

Ref: nftables src/json.c:obj_print_json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowtable.ruleset.connection_objects import STATES, CtExpectation, CtHelper, CtTimeout, Secmark
from flowtable.ruleset.statements.counter import Counter
from flowtable.ruleset.statements.limit import Limit
from flowtable.ruleset.statements.quota import Quota
from flowtable.ruleset.statements.synproxy import Synproxy

if TYPE_CHECKING:
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.objects import Body

_FLAGS: Final = ("timestamp", "sack-perm")


def body_json(body: Body, *, stateless: bool) -> dict[str, Json]:
    """What an object is, beside its name; without state if ``stateless``."""
    match body:
        case Counter():
            counts: dict[str, Json] = {"packets": body.packets, "bytes": body.bytes}
            return {} if stateless else counts
        case Quota():
            used = 0 if stateless else body.used
            return {"bytes": body.quota, "used": used, "inv": body.over}
        case Limit():
            return _limit(body)
        case CtHelper(kind, protocol, l3proto):
            return {"type": kind, "protocol": protocol, "l3proto": l3proto}
        case CtTimeout(protocol, l3proto, policy):
            states: dict[str, Json] = {
                state: policy[state][0]
                for state, seconds in STATES[protocol].items()
                if state in policy and policy[state][0] != seconds
            }
            return {"protocol": protocol, "l3proto": l3proto, "policy": states}
        case CtExpectation(protocol, dport, timeout, size, l3proto):
            return {
                "protocol": protocol,
                "dport": dport,
                "timeout": timeout,
                "size": size,
                "l3proto": l3proto,
            }
        case Synproxy():
            flags: list[Json] = [
                name for name, given in zip(_FLAGS, (body.timestamp, body.sack_perm), strict=True) if given
            ]
            written: dict[str, Json] = {}
            if body.mss is not None:
                written = {"mss": body.mss, "wscale": body.wscale or 0}
            return written | ({"flags": flags} if flags else {})
        case Secmark(context):
            return {"context": context}
        case _:
            raise AssertionError(body)


def _limit(body: Limit) -> dict[str, Json]:
    written = body.json()
    assert isinstance(written, dict)
    limit = written["limit"]
    assert isinstance(limit, dict)
    return limit
