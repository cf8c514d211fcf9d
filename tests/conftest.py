"""How generated tests run: the same examples every time, however slow the machine is."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# What tests find by chance is for `make fuzz`; here a failure must be there again tomorrow.
FUZZING = "FLOWTABLE_FUZZ" in os.environ
settings.register_profile(
    "flowtable", deadline=None, derandomize=not FUZZING, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("flowtable")
