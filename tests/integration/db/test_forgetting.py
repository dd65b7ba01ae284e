"""Caches stay under their caps: what was used longest ago goes first, and slowly."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from imgq_db import forgetting
from imgq_db.cache import _PREDICTIONS, Known, purge_cache, recipe_id, remember
from imgq_db.forgetting import mark_used
from imgq_db.known_files import FileStamp, known_files, purge_known_files, remember_files

FOUND = Known((0,), (1.0,))
STAMP = FileStamp(1, 2, 3, 4)
DAY_SECONDS = 86_400
Clock = Callable[[float], None]


def digests(count: int) -> list[bytes]:
    return [number.to_bytes(32, "big") for number in range(count)]


@pytest.fixture
def fill(engine: Engine) -> Callable[[int], int]:
    """Remember so many predictions; returns their recipe."""

    def make(rows: int) -> int:
        recipe = recipe_id(engine, 1, "how")
        remember(engine, recipe, dict.fromkeys(digests(rows), FOUND))
        return recipe

    return make


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("vacuumed", [False, True])
def test_a_cache_over_its_cap_comes_down_to_it_in_batches(
    analysed: bool,
    vacuumed: bool,
    engine: Engine,
    fill: Callable[[int], int],
    count: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 40)
    fill(100)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if analysed:
            connection.execute(text("ANALYZE known_prediction"))
        if vacuumed:
            connection.execute(text("VACUUM known_prediction"))
    removed = [purge_cache(engine, rows_kept=10) for _ in range(4)]
    assert (removed, count("known_prediction")) == ([40, 40, 10, 0], 10)


@pytest.mark.parametrize("rows_kept", [5, 6, 20_000_000])
def test_a_cache_under_its_cap_loses_nothing(
    rows_kept: int, engine: Engine, fill: Callable[[int], int], count: Callable[..., int]
) -> None:
    fill(5)
    assert purge_cache(engine, rows_kept=rows_kept) == 0
    assert count("known_prediction") == 5


def test_what_was_used_longest_ago_goes_first(engine: Engine, move_clock: Clock) -> None:
    recipe, (a, b, c) = recipe_id(engine, 1, "how"), digests(3)
    for digest in (a, b, c):  # the oldest lies last in the table
        remember(engine, recipe, {digest: FOUND})
        move_clock(-DAY_SECONDS)
    left = []
    for rows_kept in (2, 1):
        purge_cache(engine, rows_kept=rows_kept)
        with engine.connect() as connection:
            found = connection.execute(text("SELECT digest FROM known_prediction")).scalars()
            left.append({bytes(digest) for digest in found})
    assert left == [{a, b}, {a}]


def test_a_row_that_another_worker_has_just_marked_is_not_written_again(
    engine: Engine, fill: Callable[[int], int]
) -> None:
    recipe, versions = fill(1), []
    for _ in range(2):
        with engine.begin() as connection:
            found = connection.execute(text("SELECT ctid::text FROM known_prediction"))
            versions.append(found.scalar_one())
            mark_used(connection, _PREDICTIONS, digests(1), recipe=recipe)
    assert versions == versions[:1] * 2


def test_known_files_go_in_the_same_way(engine: Engine, move_clock: Clock) -> None:
    names = [b"a", b"b", b"c", b"d"]
    files = dict.fromkeys(names, (STAMP, b"\x01" * 32))
    remember_files(engine, b"file:", files)
    move_clock(DAY_SECONDS)
    known_files(engine, b"file:", [b"b"])
    assert [purge_known_files(engine, rows_kept=1) for _ in range(2)] == [3, 0]
    assert list(known_files(engine, b"file:", names)) == [b"b"]


def test_reconcilers_at_once_forget_no_more_than_one_would(
    engine: Engine,
    fill: Callable[[int], int],
    count: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 100)
    fill(2_000)
    with ThreadPoolExecutor(4) as pool:
        removed = list(pool.map(lambda _: purge_cache(engine, rows_kept=500), range(200)))
    # Those that found another at it removed nothing: there may be something left.
    removed += iter(lambda: purge_cache(engine, rows_kept=500), 0)
    assert (sum(removed), count("known_prediction")) == (1_500, 500)


def test_a_row_in_use_is_passed_over(engine: Engine, fill: Callable[[int], int]) -> None:
    fill(3)
    first = text("SELECT 1 FROM known_prediction WHERE digest = :digest FOR UPDATE")
    with engine.begin() as connection:
        connection.execute(first, {"digest": digests(1)[0]})
        assert purge_cache(engine, rows_kept=0) == 2
    assert purge_cache(engine, rows_kept=0) == 1


def test_a_large_table_is_counted_by_a_sample(
    engine: Engine, fill: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(20_000)
    monkeypatch.setattr(forgetting, "SAMPLE_BLOCKS", 60)
    removed = sum(iter(lambda: purge_cache(engine, rows_kept=10_000), 0))
    assert 5_000 < removed < 15_000
