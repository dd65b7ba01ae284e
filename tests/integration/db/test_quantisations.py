from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from imgq_db.chunks import ChunkLease, claim_chunk, finish_chunk
from imgq_db.crashes import Cause, Death, Decoded, report_death
from imgq_db.jobs import Job, get_job
from imgq_db.ledger import LedgerRow
from imgq_db.models import resolve_model
from imgq_db.options import ClassifyOptions
from imgq_db.quantisations import (
    Agreement,
    find_ranges,
    has_agreement,
    is_listed,
    keep_ranges,
    sample_images,
    store_agreement,
)
from imgq_db.sources import FILE_ROOT

HOW = "openvino-1/cuts-1"
Listed = Callable[..., Job]


def test_of_many_workers_that_measured_the_first_ones_ranges_hold_for_all(engine: Engine) -> None:
    version = resolve_model(engine, "imagenet").id
    assert find_ranges(engine, version, HOW) is None
    with ThreadPoolExecutor(8) as pool:
        mine = [b"\0ranges %d" % number for number in range(8)]
        held = list(pool.map(lambda r: keep_ranges(engine, version, HOW, r, pictures=20), mine))
    assert len(set(held)) == 1 and held[0] in mine
    assert find_ranges(engine, version, HOW) == held[0]
    assert find_ranges(engine, version, "another way") is None


def test_a_sample_is_spread_over_all_that_is_listed(engine: Engine, listed: Listed) -> None:
    job = listed(*[10] * 64)

    found = [image for image, _ in sample_images(engine, job.id, count=80)]
    assert (len(found), found) == (80, sorted(set(found)))
    assert {number // 40 for number in found} == set(range(16))


@pytest.mark.parametrize("files", [81, 119, 159, 161])
def test_a_sample_reaches_from_the_first_name_to_the_last_ones(
    engine: Engine, listed: Listed, files: int
) -> None:
    job = listed(files)

    found = [image for image, _ in sample_images(engine, job.id, count=80)]
    gaps = {later - earlier for earlier, later in pairwise([*found, files])}
    assert (len(found), found[0]) == (80, 0)
    assert gaps <= {files // 80, files // 80 + 1}


def test_a_listing_that_goes_on_is_told_from_one_that_ended(engine: Engine, listed: Listed) -> None:
    job = listed(2)
    ends = ("NULL", "imgq_now()")
    for end, expected in zip(ends, (False, True), strict=True):
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE job SET listed_at = {end}"))
        assert is_listed(engine, job.id) is expected


def test_a_sample_of_a_small_folder_is_all_of_it(engine: Engine, listed: Listed) -> None:
    job = listed(3, 2)
    assert sample_images(engine, job.id, count=80) == tuple((n, b"%06d.jpg" % n) for n in range(5))


def test_a_sample_leaves_suspects_out(engine: Engine, listed: Listed) -> None:
    job = listed(3, 2)
    report_death(engine, Death(uuid4(), [], [Decoded(job.id, 2, 3)], alone=False, cause=None))
    assert [image for image, _ in sample_images(engine, job.id, count=80)] == [0, 1, 4]


def test_a_sample_leaves_out_what_has_its_row_and_ended_a_process_of_the_sample(
    engine: Engine,
    listed: Listed,
    claim: Callable[[], ChunkLease],
    rows: Callable[[ChunkLease], list[LedgerRow]],
) -> None:
    job = listed(3, 2)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    cause = Cause("worker_crash", "SIGSEGV")
    report_death(engine, Death(uuid4(), [], [Decoded(job.id, 1, 1)], alone=False, cause=cause))
    assert [image for image, _ in sample_images(engine, job.id, count=80)] == [0, 2, 3, 4]


def test_a_jobs_first_agreement_stays(engine: Engine, listed: Listed) -> None:
    job = listed(2)
    assert (get_job(engine, job.uid).agreement, has_agreement(engine, job.id)) == (None, False)
    for same in (9, 8):
        store_agreement(engine, job.id, Agreement(10, same, 4, 4, 0.125))
    assert get_job(engine, job.uid).agreement == Agreement(10, 9, 4, 4, 0.125)
    assert has_agreement(engine, job.id)


def test_less_than_99_of_100_sure_labels_are_no_good_agreement() -> None:
    found = [Agreement(256, 200, 200, same, None).good for same in (198, 197)]
    assert found == [True, False]
    assert Agreement(0, 0, 0, 0, None).good


def test_an_int8_job_waits_for_a_worker_that_offers_it(engine: Engine, listed: Listed) -> None:
    def claim(*precisions: str) -> ChunkLease | None:
        return claim_chunk(
            engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30, precisions=precisions
        )

    listed(1, options=ClassifyOptions(precision="int8"))
    assert claim("bf16", "exact") is None
    lease = claim("bf16", "exact", "int8")
    assert lease is not None and lease.precision == "int8"


def test_auto_never_settles_on_int8(engine: Engine, listed: Listed) -> None:
    listed(1)
    lease = claim_chunk(
        engine,
        owner=uuid4(),
        roots=[FILE_ROOT],
        lease_seconds=30,
        precisions=("bf16", "exact", "int8"),
    )
    assert lease is not None and lease.precision == "bf16"
