"""Predictions that were computed before: remembered, recalled, and never mixed up."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from imgq_db.cache import Known, recall, recipe_id, remember
from imgq_db.deleting import delete_job, purge_deleted
from imgq_db.jobs import Job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.models import NewVersion, register_version

HOW = "openvino-2026.4.1/bf16/decode-2"
A, B, C = (bytes([number]) * 32 for number in range(3))
CRANE = Known((1, 0, 2), (0.75, 0.125, 0.0625))
TABBY = Known((0, 1, 2), (0.5, 0.25, 0.125))
DAY_SECONDS = 86_400

scores = st.floats(0, 1, width=32)
known = st.lists(st.tuples(st.integers(0, 65_535), scores), min_size=1, max_size=100).map(
    lambda entries: Known(*(tuple(each) for each in zip(*entries, strict=True)))
)


@pytest.fixture
def recipe(engine: Engine) -> int:
    return recipe_id(engine, 1, HOW)


@pytest.fixture
def days(engine: Engine) -> Callable[[], list[int]]:
    """How many days ago each row was used, by digest."""
    statement = text("SELECT imgq_now()::date - used_on FROM known_prediction ORDER BY digest")

    def read() -> list[int]:
        with engine.connect() as connection:
            return list(connection.execute(statement).scalars())

    return read


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.binary(min_size=32, max_size=32), known, min_size=1))
def test_whatever_is_remembered_is_recalled_bit_for_bit(
    engine: Engine, recipe: int, predictions: dict[bytes, Known]
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM known_prediction"))
    remember(engine, recipe, predictions)
    assert recall(engine, recipe, predictions.keys(), top_k=1) == {
        digest: Known(found.top[:1], found.scores[:1]) for digest, found in predictions.items()
    }
    for digest, found in predictions.items():
        assert recall(engine, recipe, [digest], top_k=len(found.top)) == {digest: found}


def test_what_was_computed_anew_replaces_what_is_known_unless_it_says_the_same(
    engine: Engine, recipe: int
) -> None:
    wrong = Known((2, 1, 0), (0.75, 0.125, 0.0625))
    remember(engine, recipe, {A: wrong, B: CRANE, C: wrong})
    fresh = {A: CRANE, B: Known(CRANE.top[:1], CRANE.scores[:1]), C: TABBY}
    remember(engine, recipe, fresh)
    assert recall(engine, recipe, [A, B, C], top_k=3) == {A: wrong, B: CRANE, C: wrong}
    remember(engine, recipe, fresh, anew=True)
    assert recall(engine, recipe, [A, B, C], top_k=3) == {A: CRANE, B: CRANE, C: TABBY}


def test_only_the_pictures_asked_for_are_recalled(engine: Engine, recipe: int) -> None:
    remember(engine, recipe, {A: CRANE, B: TABBY})
    assert recall(engine, recipe, [B, C], top_k=3) == {B: TABBY}
    assert recall(engine, recipe, [], top_k=3) == {}


def test_nothing_to_remember_is_no_error(engine: Engine, recipe: int) -> None:
    remember(engine, recipe, {})
    assert recall(engine, recipe, [A], top_k=1) == {}


def test_two_recipes_or_two_versions_never_mix(engine: Engine, recipe: int) -> None:
    version = register_version(engine, "birds", NewVersion("1" * 64, "resnet18", (), {}, {}))
    others = [recipe_id(engine, 1, HOW + "-turbo"), recipe_id(engine, version.id, HOW)]
    assert len({recipe, *others}) == 3
    remember(engine, recipe, {A: CRANE})
    remember(engine, others[0], {A: TABBY})
    found = [recall(engine, each, [A], top_k=3) for each in (recipe, *others)]
    assert found == [{A: CRANE}, {A: TABBY}, {}]


def test_a_recipe_keeps_its_number(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(lambda _: recipe_id(engine, 1, HOW), range(32)))
    assert numbers == {recipe_id(engine, 1, HOW)}


def test_a_recipe_of_no_version_is_refused(engine: Engine) -> None:
    with pytest.raises(IntegrityError):
        recipe_id(engine, 999, HOW)


def test_a_prediction_with_fewer_labels_than_are_asked_for_is_not_known(
    engine: Engine, recipe: int
) -> None:
    remember(engine, recipe, {A: CRANE})
    assert recall(engine, recipe, [A], top_k=4) == {}
    assert recall(engine, recipe, [A], top_k=2) == {A: Known((1, 0), (0.75, 0.125))}


@pytest.mark.usefixtures("labels")
def test_a_version_with_few_labels_is_known_whole(engine: Engine, recipe: int) -> None:
    whole = Known((3, 1, 0, 2), (0.5, 0.25, 0.125, 0.125))
    remember(engine, recipe, {A: whole, B: TABBY})
    assert recall(engine, recipe, [A, B], top_k=100) == {A: whole}


def test_the_longer_list_of_labels_is_kept(engine: Engine, recipe: int) -> None:
    longer = Known((*CRANE.top, 7), (*CRANE.scores, 0.03125))
    for found in (CRANE, longer, CRANE):
        remember(engine, recipe, {A: found})
    assert recall(engine, recipe, [A], top_k=4) == {A: longer}


def test_what_is_known_outlives_the_job_that_computed_it(
    engine: Engine, recipe: int, done: Callable[..., Job]
) -> None:
    job = done(LedgerRow(b"a.jpg", RowStatus.OK, 1, *CRANE, digest=A))
    remember(engine, recipe, {A: CRANE})
    delete_job(engine, job.uid)
    while purge_deleted(engine):
        pass
    assert recall(engine, recipe, [A], top_k=3) == {A: CRANE}


def test_a_version_that_goes_takes_its_recipes_with_it(
    engine: Engine, count: Callable[[str], int], execute: Callable[[str], None]
) -> None:
    version = register_version(engine, "birds", NewVersion("1" * 64, "resnet18", (), {}, {}))
    recipe_id(engine, version.id, HOW)
    execute(f"DELETE FROM model_version WHERE id = {version.id}")
    assert count("recipe") == 0


def test_recalling_keeps_the_day_of_what_was_found_and_only_of_that(
    engine: Engine,
    recipe: int,
    days: Callable[[], list[int]],
    move_clock: Callable[[float], None],
) -> None:
    remember(engine, recipe, {A: CRANE, B: TABBY})
    move_clock(3 * DAY_SECONDS)
    recall(engine, recipe, [A, C], top_k=3)
    assert days() == [0, 3]


def test_recalling_writes_once_a_day(
    engine: Engine, recipe: int, move_clock: Callable[[float], None]
) -> None:
    written = text("SELECT xmin::text FROM known_prediction")
    seen = []
    for move in (0, DAY_SECONDS):
        move_clock(move)
        remember(engine, recipe, {A: CRANE})
        for _ in range(3):
            recall(engine, recipe, [A], top_k=3)
            with engine.connect() as connection:
                seen.append(connection.execute(written).scalar_one())
    assert seen[:3] == [seen[0]] * 3 and seen[3:] == [seen[3]] * 3 and seen[0] != seen[3]


def test_recalling_waits_for_nobody(
    engine: Engine,
    recipe: int,
    days: Callable[[], list[int]],
    move_clock: Callable[[float], None],
) -> None:
    remember(engine, recipe, {A: CRANE, B: TABBY})
    move_clock(DAY_SECONDS)
    with engine.begin() as connection:
        connection.execute(
            text("SELECT 1 FROM known_prediction WHERE digest = :digest FOR UPDATE"), {"digest": A}
        )
        assert recall(engine, recipe, [A, B], top_k=3) == {A: CRANE, B: TABBY}
    assert days() == [1, 0]


def test_workers_that_remember_the_same_pictures_at_once_do_not_block_each_other(
    engine: Engine, recipe: int, count: Callable[[str], int]
) -> None:
    digests = [number.to_bytes(32, "big") for number in range(2_000)]
    start = Barrier(2)

    def run(order: int) -> None:
        start.wait()
        for labels in range(1, 6):
            found = Known(tuple(range(labels)), (0.5,) * labels)
            remember(engine, recipe, dict.fromkeys(digests[::order], found))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (1, -1)))
    assert count("known_prediction WHERE length(top) = 30") == len(digests)
