"""Lints: what a ruleset says that loads, and yet is hardly what its author means.

One module per family of lints; a lint is a function that finds places, and its entry in the
module's ``LINTS``. ``check`` runs all of them. docs/lints.md has a section for each.
"""

from flowtable.explain.lints.catalogue import CATALOGUE
from flowtable.explain.lints.check import check
from flowtable.explain.lints.lint import Finding, Lint
from flowtable.explain.lints.subject import Subject

__all__ = ["CATALOGUE", "Finding", "Lint", "Subject", "check"]
