"""Two jobs' labels side by side, on disk, so that memory does not grow with the jobs."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgq_cli.shapes import Result

BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Change:
    """A picture whose label differs. A failed picture's label is its error code in brackets."""

    path: str
    label_a: str
    label_b: str
    confidence_a: float | None
    confidence_b: float | None


@dataclass(frozen=True, slots=True)
class Totals:
    """How many pictures are the same, changed, and in one job only."""

    same: int
    changed: int
    only_a: int
    only_b: int


class Comparison:
    """Two jobs' rows in a database file of this process's own."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def totals(self) -> Totals:
        """Count the pictures."""
        both = "SELECT count(*) FROM a JOIN b USING (path) WHERE a.label {} b.label"
        only = "SELECT count(*) FROM {0} WHERE path NOT IN (SELECT path FROM {1})"
        return Totals(
            same=self._number(both.format("=")),
            changed=self._number(both.format("<>")),
            only_a=self._number(only.format("a", "b")),
            only_b=self._number(only.format("b", "a")),
        )

    def changes(self, limit: int | None) -> Iterator[Change]:
        """Give the changed pictures by path."""
        rows = self._database.execute(
            "SELECT path, a.label, b.label, a.confidence, b.confidence FROM a JOIN b USING (path)"
            " WHERE a.label <> b.label ORDER BY path LIMIT ?",
            (-1 if limit is None else limit,),
        )
        for row in rows:
            yield Change(*row)

    def _number(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])


@contextmanager
def compare(first: Iterable[Result], second: Iterable[Result]) -> Iterator[Comparison]:
    """Read both jobs' rows and give their comparison."""
    with tempfile.TemporaryDirectory(prefix="imgq-diff-") as folder:
        with closing(sqlite3.connect(Path(folder) / "rows")) as database:
            # A scratch file: nothing of it is worth a flush to the disk.
            database.execute("PRAGMA synchronous = OFF")
            database.execute("PRAGMA journal_mode = OFF")
            for name, rows in (("a", first), ("b", second)):
                _load(database, name, rows)
            yield Comparison(database)


def _load(database: sqlite3.Connection, name: str, rows: Iterable[Result]) -> None:
    database.execute(
        f"CREATE TABLE {name} (path TEXT PRIMARY KEY, label TEXT NOT NULL, confidence REAL)"
        " WITHOUT ROWID"
    )
    database.executemany(
        f"INSERT INTO {name} VALUES (?, ?, ?)",  # noqa: S608 - the name is one of two of ours
        ((row["path"], _label(row), row["confidence"]) for row in rows),
    )


def _label(row: Result) -> str:
    if row["error"]:
        return f"[{row['error']['code']}]"
    return "[unsure]" if row["label"] is None else row["label"]
