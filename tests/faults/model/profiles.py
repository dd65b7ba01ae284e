"""How long Hypothesis looks, by HYPOTHESIS_PROFILE: a short walk, always the same, or long ones."""

import os
from typing import Final

from hypothesis import HealthCheck, Phase, settings

#: The walk of `make test`. A database is behind every step, so no step has a deadline.
FIXED: Final = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    stateful_step_count=30,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
#: A red walk is all that a mutation asks for: the shortest one is nobody's business.
MUTATION: Final = settings(FIXED, phases=(Phase.generate,))
#: New walks each time, for an hour or so; what it finds is printed as the steps that lead to it.
LONG: Final = settings(FIXED, derandomize=False, max_examples=3_000, stateful_step_count=60)

_PROFILES: Final = {"fixed": FIXED, "mutation": MUTATION, "long": LONG}
#: For pytest: finding the shortest walk takes minutes, and it is worth them.
TIMEOUT_SECONDS: Final = 4 * 3600


def profile() -> settings:
    """Return the settings that HYPOTHESIS_PROFILE names, the fixed ones if it names none."""
    return _PROFILES[os.environ.get("HYPOTHESIS_PROFILE") or "fixed"]
