"""Results: the ledger as users read it, page by page or as one stream."""

import difflib
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, cast

from sqlalchemy import Engine, text

from imgq_db.errors import CursorInvalid, OptionInvalid
from imgq_db.jobs import Job
from imgq_db.ledger import RowStatus
from imgq_db.models import get_version
from imgq_db.names import name_to_text
from imgq_db.pages import Page, read_cursor, write_cursor

#: Rows read at a time by a stream: flat memory, and no transaction that stays open.
STREAM_ROWS = 4_000
#: Images that one statement looks through at most, so that a rare label in a job of millions
#: takes many quick statements and not one that the database would stop.
SCAN_IMAGES = 100_000
_LAST_IMAGE = (1 << 63) - 1

# (image, status, label, confidence, top_labels, top_scores, cached, error_code, error_detail,
# digest as hex, path), as the driver gives it: millions are read, and each step on each counts.
Row = tuple[Any, ...]
_COLUMNS = (
    "p.image, p.status, p.label, p.confidence, p.top_labels, p.top_scores, p.cached,"
    " p.error_code, p.error_detail, encode(p.digest, 'hex'), p.path"
)


class ImageStatus(StrEnum):
    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def row_status(self) -> RowStatus:
        return RowStatus[self.name]


# By RowStatus.
_STATUSES = (ImageStatus.OK, ImageStatus.FAILED, ImageStatus.SKIPPED)


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


class Result(NamedTuple):
    """What became of one image, as users see it. path: text that `name_from_text` reverses."""

    # A tuple is made in a third of a frozen dataclass's time.

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
    """How a sort becomes SQL, the same for rows in memory, and a cursor's key."""

    order: str
    after: str
    start: tuple[float, int]
    missing: float
    key: Callable[[Row], tuple[float, int]]


# Rows without a confidence come last in both directions.
_PLANS = {
    ResultSort.PATH: _SortPlan(
        "p.image", "p.image > :image", (0.0, -1), 0.0, lambda row: (0.0, row[0])
    ),
    ResultSort.CONFIDENCE: _SortPlan(
        "coalesce(p.confidence, 2), p.image",
        "(coalesce(p.confidence, 2), p.image) > (CAST(:confidence AS real), :image)",
        (-1.0, -1),
        2.0,
        lambda row: (2.0 if row[3] is None else row[3], row[0]),
    ),
    ResultSort.CONFIDENCE_DOWN: _SortPlan(
        "coalesce(p.confidence, -1) DESC, p.image",
        "(-coalesce(p.confidence, -1), p.image) > (-CAST(:confidence AS real), :image)",
        (2.0, -1),
        -1.0,
        lambda row: (1.0 if row[3] is None else -row[3], row[0]),
    ),
}


@dataclass(frozen=True, slots=True)
class _Selection:
    """Rows of one job that pass a filter, in an order."""

    engine: Engine
    job_id: int
    where: str
    values: dict[str, Any]
    sort: ResultSort

    def rows(self, start: tuple[float, int], images: tuple[int, int], limit: int) -> list[Row]:
        """Return the first rows after the start among images (first, last)."""
        plan = _PLANS[self.sort]
        statement = (
            f"SELECT {_COLUMNS} FROM prediction p WHERE p.job_id = :job_id"
            f" AND p.image >= :first AND p.image <= :last AND {plan.after} {self.where}"
            f" ORDER BY {plan.order} LIMIT :limit"
        )
        first, last = images
        keys = {"job_id": self.job_id, "first": first, "last": last, "limit": limit, **self.values}
        keys["image"] = start[1]
        if ":confidence" in plan.after:
            keys["confidence"] = start[0]
        with self.engine.connect() as connection:
            found = connection.execute(text(statement), keys)
            return cast(list[Row], found.cursor.fetchall())

    def ranges(self, after: int) -> Iterator[tuple[int, int]]:
        """Yield ranges (first, last) of images that hold all after one."""
        if self.sort is ResultSort.PATH and not self.where:
            # The index gives these rows in order: no statement looks at more than it returns.
            yield after + 1, _LAST_IMAGE
            return
        with self.engine.connect() as connection:
            newest = text("SELECT max(image) FROM prediction WHERE job_id = :job_id")
            last = connection.execute(newest, {"job_id": self.job_id}).scalar_one()
        for first in range(after + 1, -1 if last is None else last + 1, SCAN_IMAGES):
            yield first, first + SCAN_IMAGES - 1


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
    chosen = _Selection(engine, job.id, *_conditions(flt, labels), sort)
    rows = _first_rows(chosen, start, limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(
        tuple(_results(rows, labels)),
        write_cursor(sort.value, *_key(rows[-1], sort)) if more else None,
    )


def stream_results(engine: Engine, job: Job, flt: ResultFilter) -> Iterator[Result]:
    """Yield all of a job's rows in walk order. Raises OptionInvalid at once (unknown label)."""
    labels = _labels(engine, job)
    chosen = _Selection(engine, job.id, *_conditions(flt, labels), ResultSort.PATH)
    return _results(_all_rows(chosen), labels)


def _first_rows(chosen: _Selection, start: tuple[float, int], limit: int) -> list[Row]:
    by_path = chosen.sort is ResultSort.PATH
    found: list[Row] = []
    for images in chosen.ranges(start[1] if by_path else -1):
        found += chosen.rows(start, images, limit - len(found) if by_path else limit)
        if by_path and len(found) == limit:
            break
        # Any range can hold the most and the least confident: keep the first of all so far.
        found = sorted(found, key=_PLANS[chosen.sort].key)[:limit]
    return found


def _all_rows(chosen: _Selection) -> Iterator[Row]:
    for first, last in chosen.ranges(-1):
        image = first - 1
        while rows := chosen.rows((0.0, image), (first, last), STREAM_ROWS):
            yield from rows
            image = rows[-1][0]
            if len(rows) < STREAM_ROWS:
                break


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
        values["low"] = _single(flt.min_confidence)
    if flt.max_confidence is not None:
        where += " AND p.confidence <= CAST(:high AS real)"
        values["high"] = _single(flt.max_confidence)
    return where, values


def _label_indices(label: str, labels: tuple[str, ...]) -> list[int]:
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
    return _single(confidence), image


def _single(value: float) -> float:
    """Round to single precision, in which scores are stored; Postgres refuses what underflows."""
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


def _key(row: Row, sort: ResultSort) -> tuple[float, int]:
    confidence = None if sort is ResultSort.PATH else row[3]
    return _PLANS[sort].missing if confidence is None else confidence, row[0]


def _labels(engine: Engine, job: Job) -> tuple[str, ...]:
    return get_version(engine, job.labels_version_id).labels


def _results(rows: Iterable[Row], labels: tuple[str, ...]) -> Iterator[Result]:
    name_of = labels.__getitem__
    for _, status, label, confidence, top, scores, cached, code, detail, digest, path in rows:
        name = path.tobytes()
        plain = name.isascii() and b"%" not in name  # most are, and are read much faster
        yield Result(
            name.decode() if plain else name_to_text(name),
            _STATUSES[status],
            None if label is None else labels[label],
            confidence,
            tuple(zip(map(name_of, top), scores, strict=True)) if top else (),
            digest,
            cached,
            code,
            detail,
        )
