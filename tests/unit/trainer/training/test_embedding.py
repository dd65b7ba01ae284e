from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.crew import Crew
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.training.courses import Course
from imgq_trainer.training.embedding import Features, embed
from imgq_trainer.training.errors import OutOfMemory
from imgq_trainer.training.pictures import Pictures
from imgq_trainer.training.starting import small_start

CourseOf = Callable[..., Course]


@dataclass(frozen=True, slots=True)
class Heavy:
    """Pictures of which memory holds only so many at once."""

    inner: Pictures
    most: int

    @property
    def how(self) -> Preprocessing:
        return self.inner.how

    def __len__(self) -> int:
        return len(self.inner)

    def take(self, rows: Any) -> Pixels:
        if len(rows) > self.most:
            raise MemoryError
        return self.inner.take(rows)


@pytest.fixture
def features_of(course_of: CourseOf, crew: Crew) -> Callable[[int], Features]:
    """Return the features of 32 pictures, with memory for so many at once."""
    pictures, network = course_of().train.pictures, small_start(16, 8, 0).build(3)

    def features(most: int) -> Features:
        heavy = Heavy(pictures, most)
        return embed(network, heavy, "cpu", crew, lambda: False, lambda done, of: None)

    return features


def test_too_little_memory_halves_what_a_thread_takes(
    features_of: Callable[[int], Features],
) -> None:
    np.testing.assert_allclose(features_of(3), features_of(99), rtol=0, atol=1e-3)


def test_memory_for_no_picture_is_told(features_of: Callable[[int], Features]) -> None:
    with pytest.raises(OutOfMemory, match="probe"):
        features_of(0)
