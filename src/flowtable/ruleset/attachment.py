"""Where base chains can be attached, and what of them can be changed.

Ref: net/netfilter/nf_tables_api.c:nft_chain_parse_hook, nf_tables_updchain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowtable.ruleset.family import Family
from flowtable.ruleset.hook import Hook, Priority
from flowtable.ruleset.model import ChainType
from flowtable.ruleset.refused import ENOENT, EOPNOTSUPP, refused

if TYPE_CHECKING:
    from flowtable.ruleset.change import AddChain
    from flowtable.ruleset.command import DeleteDevices
    from flowtable.ruleset.model import Attachment, Chain, Table

_NAT_HOOKS: Final = (Hook.PREROUTING, Hook.INPUT, Hook.OUTPUT, Hook.POSTROUTING)


def update_chain(known: Chain, change: AddChain) -> None:
    """Change a chain that is there: its policy, and which devices it is on."""
    chain = change.chain
    if chain.attachment is not None and known.attachment is None:
        raise refused(
            EOPNOTSUPP, change.policy_span or chain.span, "a chain cannot be made a base chain later"
        )
    if change.policy_span is not None and known.attachment is None:
        raise refused(EOPNOTSUPP, change.policy_span, "only a base chain has a policy")
    if chain.attachment is not None and chain.attachment != known.attachment:
        raise refused(EOPNOTSUPP, chain.span, "type, hook and priority of a chain cannot be changed")
    if change.policy_span is not None:
        known.policy = chain.policy
    if change.devices:
        if known.attachment is None or not known.attachment.devices:
            raise refused(EOPNOTSUPP, chain.span, "only chains of ingress and egress have devices")
        devices = {*known.attachment.devices, *change.devices}
        known.attachment = replace(known.attachment, devices=tuple(sorted(devices)))


def delete_chain_devices(table: Table, change: DeleteDevices) -> None:
    """Take a chain off devices.

    Raises:
        RulesetError: it is not on them.
    """
    chain = table.chains.get(change.name)
    attachment = None if chain is None else chain.attachment
    present = () if attachment is None else attachment.devices
    missing = set(change.devices).difference(present)
    if missing and not change.destroy:
        hint = None if chain is None else f"it is not on {', '.join(sorted(missing))}"
        raise refused(ENOENT, change.span, hint)
    if chain is not None and attachment is not None:
        left = tuple(name for name in present if name not in change.devices)
        chain.attachment = replace(attachment, devices=left)


def attachment_refused(family: Family, attachment: Attachment) -> str | None:
    """Why the kernel does not register such a base chain, None if it does."""
    match attachment.type:
        case ChainType.NAT:
            if family is Family.NETDEV or attachment.hook not in _NAT_HOOKS:
                return "chains of type nat are for prerouting, input, output and postrouting"
            if attachment.priority <= Priority.CONNTRACK:
                return f"chains of type nat come after conntrack: above priority {Priority.CONNTRACK:d}"
        case ChainType.ROUTE:
            if family is Family.NETDEV or attachment.hook is not Hook.OUTPUT:
                return "chains of type route are for output"
        case ChainType.FILTER:
            pass
    return None
