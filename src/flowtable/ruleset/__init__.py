"""The nftables language: parsing, checking, printing, and evaluation on packets.

Knows rules and what they read from a packet; not where packets come from. Text goes through
``lexer``, ``parser`` and ``blocks`` to commands, through ``check`` to changes in normal form,
through ``transaction`` into a ``Ruleset``. ``printer`` writes it back; ``evaluate`` makes closures
of it. ``grammar`` lists the kinds of selectors (``expressions/``) and statements
(``statements/``), each in a module of its own.
"""

from flowtable.ruleset.files import load
from flowtable.ruleset.model import Ruleset
from flowtable.ruleset.printer import print_ruleset
from flowtable.ruleset.source import Diagnostic, RulesetError
from flowtable.ruleset.transact import apply, execute, parse

__all__ = ["Diagnostic", "Ruleset", "RulesetError", "apply", "execute", "load", "parse", "print_ruleset"]
