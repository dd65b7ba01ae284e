"""A job that fails keeps no other from its turn; a database that is away keeps all of them."""

from collections.abc import Callable

import pytest
from sqlalchemy.exc import InterfaceError, OperationalError

from imgq_db.each_job import for_each_job


def failing_at(error: Exception, job: int, turns: list[int]) -> Callable[[int], bool]:
    def step(job_id: int) -> bool:
        turns.append(job_id)
        if job_id == job:
            raise error
        return job_id % 2 == 1

    return step


@pytest.mark.parametrize(
    ("error", "turns"),
    [
        (ValueError("a job that nobody thought of"), [1, 2, 3]),
        (InterfaceError("", None, Exception("connection already closed")), [1, 2]),
        (OperationalError("", None, Exception("refused")), [1, 2]),
    ],
)
def test_the_others_have_their_turn_unless_the_database_is_away(
    error: Exception, turns: list[int]
) -> None:
    taken: list[int] = []
    with pytest.raises(type(error)) as raised:
        for_each_job([1, 2, 3], failing_at(error, 2, taken))
    assert (taken, raised.value) == (turns, error)
    assert error.__notes__ == ["job.id 2"]


def test_the_errors_of_several_jobs_are_told_together_and_each_names_its_job() -> None:
    errors = {1: ValueError("one"), 3: KeyError("three")}

    def step(job_id: int) -> bool:
        if job_id in errors:
            raise errors[job_id]
        return True

    with pytest.raises(ExceptionGroup) as raised:
        for_each_job([1, 2, 3], step)
    told = [(error, error.__notes__) for error in raised.value.exceptions]
    assert told == [(errors[1], ["job.id 1"]), (errors[3], ["job.id 3"])]


def test_those_are_counted_for_which_something_was_done() -> None:
    assert for_each_job([1, 2, 3], lambda job_id: job_id % 2 == 1) == 2
