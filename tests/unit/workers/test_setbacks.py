"""What a process leaves alone after a failure, on a clock of the test's own."""

import pytest
from tests.unit.workers.clock import Clock

from imgq_db.failures import FailureKind
from imgq_db.fairness import LeftAlone
from imgq_workers.setbacks import MOST_RAISED, Setbacks


@pytest.fixture
def setbacks(clock: Clock) -> Setbacks:
    return Setbacks(clock)


def test_a_version_that_does_not_load_is_left_alone_for_its_pause(
    setbacks: Setbacks, clock: Clock
) -> None:
    setbacks.leave(FailureKind.MODEL, job_id=1, version_id=7, seconds=4)
    left = [setbacks.left()]
    clock.seconds = 4
    left.append(setbacks.left())
    assert left == [LeftAlone(versions=(7,)), LeftAlone()]


@pytest.mark.parametrize("kind", [FailureKind.SOURCE, FailureKind.LISTING])
def test_a_job_whose_folder_cannot_be_read_is_left_alone(
    kind: FailureKind, setbacks: Setbacks
) -> None:
    setbacks.leave(kind, job_id=1, version_id=7, seconds=1)
    assert setbacks.left() == LeftAlone(jobs=(1,))


def test_a_job_is_left_alone_only_from_the_second_chunk_in_a_row_that_raises(
    setbacks: Setbacks,
) -> None:
    left = []
    for _ in range(2):
        setbacks.leave(FailureKind.CHUNK, job_id=1, version_id=7, seconds=1)
        left.append(setbacks.left())
    assert left == [LeftAlone(), LeftAlone(jobs=(1,))]


def test_a_chunk_that_is_finished_forgets_those_that_raised(setbacks: Setbacks) -> None:
    setbacks.leave(FailureKind.CHUNK, job_id=1, seconds=1)
    setbacks.finished(1)
    setbacks.leave(FailureKind.CHUNK, job_id=1, seconds=1)
    assert setbacks.left() == LeftAlone()


def test_of_jobs_that_end_elsewhere_no_more_than_some_are_remembered(setbacks: Setbacks) -> None:
    for job_id in range(3 * MOST_RAISED):
        setbacks.leave(FailureKind.CHUNK, job_id=job_id, seconds=1)
    assert len(setbacks._raised) == MOST_RAISED
    setbacks.leave(FailureKind.CHUNK, job_id=job_id, seconds=1)
    assert setbacks.left() == LeftAlone(jobs=(job_id,))
