"""The API dies at each step of a submit: the client repeats itself, and there is one job."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.queue import LIST, bells_waiting, make_ring
from imgq_db.settings import Settings
from imgq_workers.reconciler import reconcile

from .conftest import until
from .standing_by import post_job


@pytest.mark.parametrize(
    ("point", "jobs", "bells"),
    [("submit.after_insert", 0, 0), ("submit.before_bell", 1, 0), ("submit.after_bell", 1, 1)],
)
def test_a_submit_that_lost_its_api_makes_one_job_when_it_is_repeated(
    engine: Engine,
    settings: Settings,
    tmp_path: Path,
    move_clock: Callable[[float], None],
    die_at: Callable[..., None],
    count: Callable[[str], int],
    point: str,
    jobs: int,
    bells: int,
) -> None:
    die_at(point, "submit", tmp_path, "once")
    assert (count("job"), bells_waiting(settings, LIST)) == (jobs, bells)
    assert reconcile(engine, settings, make_ring(settings)).bells_rung == jobs - bells
    move_clock(31)  # the request under this key counts as underway for so long
    until(lambda: post_job(engine, settings, str(tmp_path), "once").status_code == 202)
    assert (count("job"), count("idempotency WHERE status = 202")) == (1, 1)
