"""The scenarios, a module for each topic."""

from __future__ import annotations

import importlib
import pkgutil


def describe() -> None:
    """Describe all scenarios: import the modules that do."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
