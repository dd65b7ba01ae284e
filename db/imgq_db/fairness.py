"""Who goes first: the order of jobs in every claim, and what a worker leaves to others."""

from typing import NamedTuple

#: A job that nobody served for so long counts as one priority higher, so that nothing starves.
AGING_SECONDS = 600
#: The time of a job's last claim is written at most so often: many workers share its row.
TURN_SECONDS = 0.5

#: SQL over `job j`: high before normal before low; one that waits long moves up until it is served.
JOB_ORDER = (
    "greatest(j.priority - floor(extract(epoch FROM (SELECT imgq_now())"
    f" - coalesce(j.served_at, j.created_at)) / {AGING_SECONDS}), 0)"
)


class LeftAlone(NamedTuple):
    """Jobs and model versions that a worker does not claim for now: it failed at them lately."""

    jobs: tuple[int, ...] = ()
    versions: tuple[int, ...] = ()


NOTHING = LeftAlone()
