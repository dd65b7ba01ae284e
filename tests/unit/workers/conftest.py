"""What the unit tests of workers share."""

import pytest
from tests.unit.workers.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
