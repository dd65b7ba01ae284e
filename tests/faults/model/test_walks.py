"""The tables must hold what a model in plain Python holds, whatever comes in whatever order.

HYPOTHESIS_PROFILE=long walks on for an hour or so, each time elsewhere.
"""

from collections.abc import Callable

import pytest
from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy import Engine

from imgq_db.settings import Settings

from .classifying_machine import ClassifyingMachine
from .profiles import TIMEOUT_SECONDS
from .training_machine import TrainingMachine

Walk = Callable[[Callable[[], RuleBasedStateMachine]], None]
pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS)


def test_classify_jobs_stay_as_they_must_whatever_happens(
    engine: Engine, settings: Settings, walk: Walk
) -> None:
    walk(lambda: ClassifyingMachine(engine, settings))


def test_trainings_stay_as_they_must_whatever_happens(
    engine: Engine, settings: Settings, walk: Walk
) -> None:
    walk(lambda: TrainingMachine(engine, settings))
