"""What the ends of several processes come to."""

import pytest

from imgq_trainer.training.launching import status_of

KILLED, TERMINATED, STOPPED, LOST = -9, -15, 143, 75


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ({0: 1, 1: TERMINATED}, 1),  # the leader said what failed
        ({0: 1, 1: KILLED}, 1),
        ({1: KILLED, 0: STOPPED}, KILLED),  # the leader wrote a checkpoint before it ended
        ({0: KILLED, 1: LOST}, KILLED),
        ({0: LOST, 1: KILLED}, KILLED),
        ({1: 1, 0: STOPPED}, 1),  # a hand failed between two steps
        ({0: -6, 1: TERMINATED}, -6),
        ({0: STOPPED, 1: LOST}, STOPPED),
        ({0: LOST}, STOPPED),
    ],
)
def test_what_ended_the_first_process_counts(codes: dict[int, int], status: int) -> None:
    assert status_of(codes) == status
