"""The fast path that a box has by itself."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from flowtable.datapath.native import NativeDatapath
from flowtable.datapath.reference import ReferenceDatapath

if TYPE_CHECKING:
    from flowtable.flows.datapath import Datapath, OnEnd
    from flowtable.profile import Profile
    from flowtable.ruleset.family import Family


def preferred(family: Family, profile: Profile, on_end: OnEnd) -> Datapath:
    """The datapath in C; the reference, and a warning, where its library is not there."""
    try:
        return NativeDatapath(family, profile, on_end)
    except OSError as error:
        message = f"no native datapath, the reference takes its place: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return ReferenceDatapath(family, profile, on_end)
