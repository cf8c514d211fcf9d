"""What every statement of a rule can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from flowtable.ruleset.code import Step
    from flowtable.ruleset.compiler import Compiler
    from flowtable.ruleset.context import RuleContext
    from flowtable.ruleset.hook import Hook
    from flowtable.ruleset.json.value import Json
    from flowtable.ruleset.model import Rule
    from flowtable.ruleset.selector import Identity, Selector
    from flowtable.ruleset.source import Span


class Statement:
    """A match or a statement: first as written, after ``check`` in normal form.

    Attributes:
        span: where it stands in the source.
        terminal: nothing ever can follow it in a rule.
        nat_only: it can be reached from chains of type ``nat`` only.
        stateful: each element of a set can have one of its own.
    """

    __slots__ = ("span",)
    terminal: ClassVar[bool] = False
    nat_only: ClassVar[bool] = False
    stateful: ClassVar[bool] = False

    def __init__(self, span: Span) -> None:
        self.span = span

    def check(self, rule: RuleContext) -> Statement:
        """Check it in its rule and imply the protocol tests that it needs; its normal form.

        Raises:
            RulesetError: it makes no sense where it stands.
        """
        del rule
        return self

    def text(self, *, stateless: bool = False) -> str:
        """As nft prints it; without counts if ``stateless``."""
        raise AssertionError

    def json(self) -> Json:
        """As libnftables writes it; its text where the schema has no form for it."""
        return self.text()

    def compile(self, compiler: Compiler) -> Step:
        """Make it ready to run."""
        raise AssertionError

    @property
    def ends(self) -> bool:
        """Whether nothing can follow it in a rule."""
        return self.terminal

    @property
    def blocks(self) -> tuple[Rule, ...]:
        """The rules of a chain without a name in it."""
        return ()

    @property
    def keyword(self) -> Span:
        """The part of it that other errors point at."""
        return self.span

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """What it reads."""
        return ()

    @property
    def hooks(self) -> frozenset[Hook] | None:
        """The hooks that it can be reached from, None for all."""
        bound = [selector.hooks for selector in self.selectors if selector.hooks is not None]
        return frozenset.intersection(*bound) if bound else None

    @property
    def opaque(self) -> bool:
        """Whether only a kernel could run it: a packet that reaches it is not evaluated further."""
        return any(selector.opaque for selector in self.selectors)

    @property
    def jumps(self) -> tuple[str, ...]:
        """The chains that it can go to."""
        return ()

    @property
    def headers(self) -> tuple[Identity, ...]:
        """The headers that it reads."""
        return tuple(header for selector in self.selectors for header in selector.headers)

    @property
    def anonymous_sets(self) -> int:
        """How many sets without a name it has: to the kernel each is an object with a handle."""
        return 0

    def lookups(self) -> tuple[str, ...]:
        """The named sets and maps that it refers to."""
        return ()

    def updates(self) -> tuple[str, ...]:
        """The named sets and maps that it adds elements to, or takes them from."""
        return ()

    def fresh(self) -> Statement:
        """A copy of a stateful statement without its state: one for each element of a set."""
        raise AssertionError
