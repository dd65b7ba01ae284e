"""What a storm takes for the time to recovery."""

from collections.abc import Callable

import pytest
from tests.faults.storm.plan import Fault, Kind
from tests.faults.storm.recovery import Recovery, Seen, recoveries
from tests.faults.storm.scene import Hit, Taken
from tests.faults.storm.storming import Struck

SEEN = Seen(chunks={1: 105.0, 2: 109.0}, jobs={}, commits=[101.0, 105.0, 109.0])
Strike = Callable[..., Struck]


@pytest.fixture
def strike() -> Strike:
    """A fault at a time, which took claims: (chunk, token)."""

    def make(at: float, *taken: tuple[int, int], kind: Kind = Kind.WORKER_KILL) -> Struck:
        return Struck(Fault(1, kind, 0, 0, 0), at, Hit("", tuple(Taken(*each) for each in taken)))

    return make


def seconds(*struck: Struck) -> list[float | None]:
    return [None if each is None else each.seconds for each in recoveries(SEEN, struck)]


def test_a_fault_that_took_claims_is_over_with_the_last_of_their_chunks(strike: Strike) -> None:
    assert seconds(strike(100, (1, 1), (2, 1))) == [9]


def test_any_other_is_over_with_the_next_commit(strike: Strike) -> None:
    assert seconds(strike(100), strike(104), strike(110)) == [1, 1, None]


def test_a_chunk_that_is_taken_from_its_next_holder_had_been_served_again(strike: Strike) -> None:
    assert seconds(strike(100, (2, 1)), strike(103, (2, 2))) == [3, 6]


def test_two_faults_that_take_the_same_claim_both_wait_for_it(strike: Strike) -> None:
    assert seconds(strike(100, (2, 1)), strike(103, (2, 1))) == [9, 6]


def test_a_chunk_that_was_settled_before_needs_no_recovery(strike: Strike) -> None:
    assert seconds(strike(107, (1, 1))) == [0]


def test_only_what_keeps_workers_from_work_counts_as_a_further_fault(strike: Strike) -> None:
    struck = [strike(100, (1, 1)), strike(101, kind=Kind.REDIS_BELLS), strike(104, (2, 1))]
    assert recoveries(SEEN, struck) == [
        Recovery(Kind.WORKER_KILL, 5, alone=False),
        Recovery(Kind.REDIS_BELLS, 4, alone=False),
        Recovery(Kind.WORKER_KILL, 5, alone=True),
    ]
