"""From a rule as written to its normal form.

Ref: nftables src/evaluate.c:rule_evaluate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowtable.ruleset.model import Rule
from flowtable.ruleset.values import fail

if TYPE_CHECKING:
    from flowtable.ruleset.command import RuleSyntax
    from flowtable.ruleset.context import RuleContext


def check_rule(context: RuleContext, syntax: RuleSyntax) -> Rule:
    """Check a rule, statement by statement.

    Raises:
        RulesetError: the first thing that is wrong with it.
    """
    ended = None
    for statement in syntax.statements:
        if ended is not None:
            raise fail("Statement after terminal statement has no effect", statement.span, ended.keyword)
        checked = statement.check(context)
        context.statements.append(checked)
        if checked.ends:
            ended = checked
    return Rule(context.statements, syntax.span, syntax.comment)
