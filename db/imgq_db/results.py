"""Results: the ledger as users read it, page by page or as one stream."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, text

from imgq_db.errors import CursorInvalid, OptionInvalid
from imgq_db.jobs import Job
from imgq_db.ledger import RowStatus
from imgq_db.models import get_version
from imgq_db.names import name_to_text
from imgq_db.pages import Page, read_cursor, write_cursor

#: Rows read at a time by a stream: flat memory, and no transaction that stays open.
STREAM_ROWS = 2_000


class ImageStatus(StrEnum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def row_status(self) -> RowStatus:
        return RowStatus[self.name]


class ResultSort(StrEnum):
    PATH = "path"  # the order in which the folder was walked
    CONFIDENCE = "confidence"
    CONFIDENCE_DOWN = "-confidence"


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """Which rows; confidences are those of the best class, 0..1, both ends included."""

    label: str | None = None
    status: ImageStatus | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one image, as users see it. path: text that `name_from_text` reverses."""

    path: str
    status: ImageStatus
    label: str | None
    confidence: float | None
    top_k: tuple[tuple[str, float], ...]
    digest: str | None
    cached: bool
    error_code: str | None
    error_detail: str | None


@dataclass(frozen=True, slots=True)
class _SortPlan:
    """How a sort becomes SQL: the order, and what comes after a cursor's key."""

    order: str
    after: str
    start: tuple[float, int]


# Rows without a confidence come last in both directions.
_PLANS = {
    ResultSort.PATH: _SortPlan("p.image", "p.image > :image", (0.0, -1)),
    ResultSort.CONFIDENCE: _SortPlan(
        "coalesce(p.confidence, 2), p.image",
        "(coalesce(p.confidence, 2), p.image) > (CAST(:confidence AS real), :image)",
        (-1.0, -1),
    ),
    ResultSort.CONFIDENCE_DOWN: _SortPlan(
        "coalesce(p.confidence, -1) DESC, p.image",
        "(-coalesce(p.confidence, -1), p.image) > (-CAST(:confidence AS real), :image)",
        (2.0, -1),
    ),
}


def list_results(
    engine: Engine,
    job: Job,
    flt: ResultFilter,
    *,
    sort: ResultSort = ResultSort.PATH,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Result]:
    """Return a page of a job's rows. Raises CursorInvalid, OptionInvalid (unknown label)."""
    labels = _labels(engine, job)
    start = _start(sort, cursor)
    rows = _rows(engine, job, _conditions(flt, labels), sort, start, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(
        tuple(_result(row, labels) for row in rows),
        write_cursor(sort.value, *_key(rows[-1], sort)) if more else None,
    )


def stream_results(engine: Engine, job: Job, flt: ResultFilter) -> Iterator[Result]:
    """Yield all of a job's rows in walk order. Raises OptionInvalid at once (unknown label)."""
    labels = _labels(engine, job)
    conditions = _conditions(flt, labels)
    return _stream(engine, job, conditions, labels)


def _stream(
    engine: Engine, job: Job, conditions: tuple[str, dict[str, Any]], labels: tuple[str, ...]
) -> Iterator[Result]:
    start = (0.0, -1)
    while rows := _rows(engine, job, conditions, ResultSort.PATH, start, STREAM_ROWS):
        for row in rows:
            yield _result(row, labels)
        start = (0.0, rows[-1].image)


def _rows(
    engine: Engine,
    job: Job,
    conditions: tuple[str, dict[str, Any]],
    sort: ResultSort,
    start: tuple[float, int],
    limit: int,
) -> list[Any]:
    where, values = conditions
    plan = _PLANS[sort]
    statement = (
        "SELECT p.image, p.path, p.status, p.label, p.confidence, p.top_labels, p.top_scores,"
        " p.cached, p.error_code, p.error_detail, p.digest FROM prediction p"
        f" WHERE p.job_id = :job_id AND {plan.after} {where} ORDER BY {plan.order} LIMIT :limit"
    )
    keys = {"job_id": job.id, "limit": limit, "image": start[1], **values}
    if ":confidence" in plan.after:
        keys["confidence"] = start[0]
    with engine.connect() as connection:
        return list(connection.execute(text(statement), keys))


def _conditions(flt: ResultFilter, labels: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    where = ""
    values: dict[str, Any] = {}
    if flt.label is not None:
        where += " AND p.label = ANY(:labels)"
        values["labels"] = _label_indices(flt.label, labels)
    if flt.status is not None:
        where += " AND p.status = :status"
        values["status"] = int(flt.status.row_status)
    if flt.min_confidence is not None:
        where += " AND p.confidence >= CAST(:low AS real)"
        values["low"] = flt.min_confidence
    if flt.max_confidence is not None:
        where += " AND p.confidence <= CAST(:high AS real)"
        values["high"] = flt.max_confidence
    return where, values


def _label_indices(label: str, labels: tuple[str, ...]) -> list[int]:
    # Two ImageNet classes share the name "crane": a name can mean several.
    indices = [index for index, name in enumerate(labels) if name == label]
    if labels and not indices:
        close = difflib.get_close_matches(label, labels, n=3)
        raise OptionInvalid(
            f"The model has no label {label!r}.",
            f"Did you mean {' or '.join(map(repr, close))}?" if close else None,
        )
    return indices


def _start(sort: ResultSort, cursor: str | None) -> tuple[float, int]:
    if cursor is None:
        return _PLANS[sort].start
    read = read_cursor(cursor, str, float, int)
    confidence, image = float(str(read[1])), int(str(read[2]))
    if read[0] != sort.value or not -1 <= confidence <= 2:
        raise CursorInvalid
    return confidence, image


def _key(row: Any, sort: ResultSort) -> tuple[float, int]:
    missing = {"path": 0.0, "confidence": 2.0, "-confidence": -1.0}[sort.value]
    if sort is ResultSort.PATH or row.confidence is None:
        return missing, row.image
    return float(row.confidence), row.image


def _labels(engine: Engine, job: Job) -> tuple[str, ...]:
    return get_version(engine, job.model_version_id).labels


def _result(row: Any, labels: tuple[str, ...]) -> Result:
    top = zip(row.top_labels or (), row.top_scores or (), strict=True)
    return Result(
        path=name_to_text(bytes(row.path)),
        status=ImageStatus[RowStatus(row.status).name],
        label=None if row.label is None else labels[row.label],
        confidence=row.confidence,
        top_k=tuple((labels[index], score) for index, score in top),
        digest=bytes(row.digest).hex() if row.digest else None,
        cached=row.cached,
        error_code=row.error_code,
        error_detail=row.error_detail,
    )
