"""Walks over a database of their own, with small batches, so that jobs are seen between two."""

from collections.abc import Callable

import pytest
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from imgq_db import cancelling

MACHINES = ("machine", "listing_machine", "claiming_machine", "classifying_machine")
for module in (*MACHINES, "classifying_world", "training_machine"):
    pytest.register_assert_rewrite(f"{__package__}.{module}")

from .classifying import CANCEL_BATCH  # noqa: E402
from .profiles import profile  # noqa: E402


@pytest.fixture
def walk(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], RuleBasedStateMachine]], None]:
    """Let Hypothesis try a machine's rules in any order."""
    monkeypatch.setattr(cancelling, "_BATCH", CANCEL_BATCH)

    def run(machine: Callable[[], RuleBasedStateMachine]) -> None:
        # Typed as if only a class would do.
        run_state_machine_as_test(machine, settings=profile())  # type: ignore[arg-type]

    return run
