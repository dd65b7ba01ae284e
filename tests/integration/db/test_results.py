"""Results as users read them: filtered, sorted, page by page, streamed, summed up."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event

from imgq_db import results
from imgq_db.errors import CursorInvalid, OptionInvalid
from imgq_db.jobs import Job, JobState
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.pages import write_cursor
from imgq_db.results import (
    ImageStatus,
    Result,
    ResultFilter,
    ResultSort,
    list_results,
    stream_results,
)
from imgq_db.summaries import Summary, summarize

Jobs = Callable[..., Job]
pytestmark = pytest.mark.usefixtures("labels")


def ok(name: str, label: int | None, score: float, *others: float) -> LedgerRow:
    top = (label or 0, *range(1, len(others) + 1))
    return LedgerRow(name.encode(), RowStatus.OK, label, top, (score, *others))


def bad(name: str, code: str, status: RowStatus = RowStatus.FAILED) -> LedgerRow:
    return LedgerRow(name.encode(), status, error_code=code, error_detail=f"it is {code}")


ROWS = [
    ok("a", 0, 0.9, 0.1),
    ok("b", 1, 0.5),
    bad("c", "corrupt"),
    ok("d", 3, 0.5),
    bad("e", "not_an_image", RowStatus.SKIPPED),
    ok("f", None, 0.25),
    bad("g", "truncated"),
    ok("h", 2, 1.0),
    ok("i", 2, 0.0),
]


def paths(found: Sequence[Result]) -> str:
    return "".join(result.path for result in found)


def all_pages(engine: Engine, job: Job, sort: ResultSort, limit: int) -> list[Result]:
    found: list[Result] = []
    cursor = None
    while True:
        page = list_results(engine, job, ResultFilter(), sort=sort, limit=limit, cursor=cursor)
        found += page.items
        assert len(page.items) == limit or page.next_cursor is None
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


def test_a_result_says_all_that_is_known_of_an_image(engine: Engine, done: Jobs) -> None:
    named = LedgerRow(b"d\xff/1.jpg", RowStatus.OK, 0, (0, 1), (0.75, 0.25), b"\1" * 32, True)
    page = list_results(engine, done(named, ROWS[2]), ResultFilter())
    top = (("tabby", 0.75), ("crane", 0.25))
    assert page.items == (
        Result("d%FF/1.jpg", ImageStatus.OK, "tabby", 0.75, top, "01" * 32, True, None, None),
        Result("c", ImageStatus.FAILED, None, None, (), None, False, "corrupt", "it is corrupt"),
    )
    assert page.next_cursor is None


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (ResultSort.PATH, "abcdefghi"),
        (ResultSort.CONFIDENCE, "ifbdahceg"),
        (ResultSort.CONFIDENCE_DOWN, "habdficeg"),
    ],
)
@pytest.mark.parametrize("limit", range(1, 11))
def test_pages_of_any_size_give_the_whole_list(
    sort: ResultSort, order: str, limit: int, engine: Engine, done: Jobs
) -> None:
    assert paths(all_pages(engine, done(*ROWS), sort, limit)) == order


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    given_scores=st.lists(
        st.none() | st.floats(0, 1, width=32),
        min_size=1,
        max_size=12,
    ),
    limit=st.integers(1, 5),
)
def test_pages_of_any_scores_give_each_image_once_in_order(
    engine: Engine, done: Jobs, given_scores: list[float | None], limit: int
) -> None:
    names = [f"{n:02}" for n in range(len(given_scores))]
    job = done(
        *(
            bad(name, "corrupt") if score is None else ok(name, 0, score)
            for name, score in zip(names, given_scores, strict=True)
        )
    )
    for sort, sign in ((ResultSort.CONFIDENCE, 1), (ResultSort.CONFIDENCE_DOWN, -1)):
        numbers = sorted(
            range(len(names)),
            key=lambda n: (9.0 if given_scores[n] is None else sign * (given_scores[n] or 0), n),
        )
        found = all_pages(engine, job, sort, limit)
        assert [result.path for result in found] == [names[n] for n in numbers]


@pytest.mark.parametrize(
    ("flt", "kept"),
    [
        (ResultFilter(), "abcdefghi"),
        (ResultFilter(label="tabby"), "a"),
        (ResultFilter(label="crane"), "bd"),
        (ResultFilter(status=ImageStatus.OK), "abdfhi"),
        (ResultFilter(status=ImageStatus.FAILED), "cg"),
        (ResultFilter(status=ImageStatus.SKIPPED), "e"),
        (ResultFilter(min_confidence=0.5), "abdh"),
        (ResultFilter(min_confidence=0.9), "ah"),
        (ResultFilter(max_confidence=0.5), "bdfi"),
        (ResultFilter(max_confidence=0.0), "i"),
        (ResultFilter(min_confidence=1e-300), "abdfhi"),
        (ResultFilter(max_confidence=1e-300), "i"),
        (ResultFilter(min_confidence=0.25, max_confidence=0.5), "bdf"),
        (ResultFilter(label="crane", min_confidence=0.6), ""),
        (ResultFilter(label="daisy", status=ImageStatus.FAILED), ""),
    ],
)
def test_filters_keep_what_they_name_in_lists_and_streams(
    flt: ResultFilter, kept: str, engine: Engine, done: Jobs
) -> None:
    job = done(*ROWS)
    assert paths(list_results(engine, job, flt).items) == kept
    assert paths(list(stream_results(engine, job, flt))) == kept


def test_a_filtered_list_is_paged_too(engine: Engine, done: Jobs) -> None:
    job, flt = done(*ROWS), ResultFilter(status=ImageStatus.OK)
    first = list_results(engine, job, flt, sort=ResultSort.CONFIDENCE_DOWN, limit=4)
    rest = list_results(
        engine, job, flt, sort=ResultSort.CONFIDENCE_DOWN, limit=4, cursor=first.next_cursor
    )
    assert (paths(first.items), paths(rest.items), rest.next_cursor) == ("habd", "fi", None)


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 9, 10])
def test_a_stream_gives_the_list_whatever_it_reads_at_a_time(
    rows_at_a_time: int, engine: Engine, done: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "STREAM_ROWS", rows_at_a_time)
    job = done(*ROWS)
    listed = list_results(engine, job, ResultFilter()).items
    assert tuple(stream_results(engine, job, ResultFilter())) == listed


@pytest.fixture
def scanned(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each statement on a job's rows may look through, at two a time."""
    monkeypatch.setattr(results, "SCAN_IMAGES", 2)
    found: list[int] = []

    def remember(*call: Any) -> None:
        statement, values = call[2:4]
        if "FROM prediction p" in statement:
            found.append(values["last"] - max(values["first"], values["image"] + 1) + 1)

    event.listen(engine, "before_cursor_execute", remember)
    return found


FILTERS = [
    ResultFilter(label="daisy"),
    ResultFilter(status=ImageStatus.SKIPPED),
    ResultFilter(min_confidence=1.0),
    ResultFilter(max_confidence=-1.0),
]


@pytest.mark.parametrize("flt", FILTERS)
def test_no_statement_of_a_rare_filter_looks_through_the_whole_job(
    flt: ResultFilter, engine: Engine, done: Jobs, scanned: list[int]
) -> None:
    job = done(*ROWS)
    streamed = tuple(stream_results(engine, job, flt))
    assert list_results(engine, job, flt, limit=9).items == streamed
    assert len(scanned) == 2 * 5 and max(scanned) <= 2


@pytest.mark.parametrize("sort", list(ResultSort))
@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_pages_of_a_job_read_in_parts_are_those_of_the_whole(
    sort: ResultSort, limit: int, engine: Engine, done: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = done(*ROWS)
    whole = all_pages(engine, job, sort, limit)
    monkeypatch.setattr(results, "SCAN_IMAGES", 2)
    assert all_pages(engine, job, sort, limit) == whole


def test_a_sorted_list_never_sorts_the_whole_job_at_once(
    engine: Engine, done: Jobs, scanned: list[int]
) -> None:
    job = done(*ROWS)
    list_results(engine, job, ResultFilter(), sort=ResultSort.CONFIDENCE_DOWN, limit=2)
    assert len(scanned) == 5 and max(scanned) <= 2


def test_a_page_stops_reading_where_it_is_full(
    engine: Engine, done: Jobs, scanned: list[int]
) -> None:
    page = list_results(engine, done(*ROWS), ResultFilter(label="crane"), limit=1)
    assert (paths(page.items), len(scanned)) == ("b", 2)


def test_a_job_shows_only_its_own_rows(engine: Engine, done: Jobs, listed: Jobs) -> None:
    one, other, empty = done(*ROWS[:2]), done(*ROWS[2:]), listed()
    assert paths(list_results(engine, one, ResultFilter()).items) == "ab"
    assert paths(list(stream_results(engine, other, ResultFilter()))) == "cdefghi"
    assert list_results(engine, empty, ResultFilter()).items == ()


def test_an_unknown_label_is_refused_at_once_with_the_nearest(engine: Engine, done: Jobs) -> None:
    job = done(*ROWS)
    with pytest.raises(OptionInvalid, match="'tabbi'") as refused:
        stream_results(engine, job, ResultFilter(label="tabbi"))
    assert refused.value.hint == "Did you mean 'tabby'?"
    with pytest.raises(OptionInvalid):
        list_results(engine, job, ResultFilter(label="crane "))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        write_cursor("confidence", 0.5, 3),
        write_cursor("path", 0.5),
        write_cursor(3),
        write_cursor("path", 1e300, 3),
    ],
)
def test_a_cursor_of_another_list_is_refused(cursor: str, engine: Engine, done: Jobs) -> None:
    with pytest.raises(CursorInvalid):
        list_results(engine, done(*ROWS), ResultFilter(), cursor=cursor)


@pytest.mark.parametrize("sort", [ResultSort.CONFIDENCE, ResultSort.CONFIDENCE_DOWN])
def test_a_cursor_may_be_closer_to_zero_than_any_score(
    sort: ResultSort, engine: Engine, done: Jobs
) -> None:
    cursor = write_cursor(sort.value, 1e-300, -1)

    assert list_results(engine, done(*ROWS), ResultFilter(), sort=sort, cursor=cursor).items


def test_a_summary_counts_every_row_once(engine: Engine, done: Jobs) -> None:
    rows = [*ROWS, ok("j", 2, 0.7), ok("k", 2, 0.3)]
    assert summarize(engine, done(*rows)) == Summary(
        labels=(("daisy", 4), ("crane", 2), ("tabby", 1)),
        unsure=1,
        failed={"corrupt": 1, "truncated": 1},
        skipped={"not_an_image": 1},
        histogram=(1, 0, 1, 1, 0, 2, 0, 1, 0, 2),
    )


def test_a_summary_has_the_time_to_count_millions(engine: Engine, done: Jobs) -> None:
    job, found = done(*ROWS), set()

    def ask(connection: Connection, _cursor: object, statement: str, *_: Any) -> None:
        if "FROM prediction" in statement:
            cursor = connection.connection.cursor()
            cursor.execute("SHOW statement_timeout")
            found.add(cursor.fetchone())

    event.listen(engine, "before_cursor_execute", ask)
    summarize(engine, replace(job, state=JobState.RUNNING))
    assert found == {("2min",)}


def test_every_tenth_begins_its_own_bin(engine: Engine, done: Jobs) -> None:
    rows = [ok(f"{n}", 0, n / 10) for n in range(11)]
    assert summarize(engine, done(*rows)).histogram == (1, 1, 1, 1, 1, 1, 1, 1, 1, 2)


def test_a_summary_of_nothing_is_all_zeros(engine: Engine, listed: Jobs) -> None:
    assert summarize(engine, listed()) == Summary((), 0, {}, {}, (0,) * 10)
