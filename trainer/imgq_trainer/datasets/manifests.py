"""A CSV or JSONL file that names pictures and their labels, read strictly."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from imgq_trainer.datasets.errors import GroupByInvalid, ManifestInvalid, ManifestNamesMissing
from imgq_trainer.datasets.folders import STOP_CHECK_FILES
from imgq_trainer.datasets.listing import (
    Listed,
    Listing,
    check_labels,
    is_label,
    split_named,
    to_label,
)
from imgq_trainer.datasets.paths import path_from_text, path_to_text
from imgq_trainer.errors import RootUnavailable, Stopped

REQUIRED = ("path", "label")
OPTIONAL = ("split", "group")

Row = Mapping[str, str]


class _Numbered(NamedTuple):
    line: int
    row: Row


def list_manifest(
    root: Path, manifest: Path, *, group_by: str | None, stop: Callable[[], bool]
) -> Listing:
    """List what a manifest names; that every file is there is checked, nothing is read.

    group_by: the column that says what belongs together, if it is not `group`.
    Raises ManifestInvalid, ManifestNamesMissing, GroupByInvalid, LabelsDifferByCase, Stopped.
    """
    column = group_by or "group"
    files: dict[bytes, Listed] = {}
    missing: list[bytes] = []
    repeated = 0
    for count, (line, row) in enumerate(_rows(manifest, group_by)):
        listed = _listed(root, line, row, column)
        known = files.setdefault(listed.path, listed)
        if known != listed:
            why = (
                f"{path_to_text(listed.path)} was named before, with another label, split or group"
            )
            raise ManifestInvalid(line, why)
        if known is not listed:
            repeated += 1
        elif not _exists(root, listed.path):
            missing.append(listed.path)
        if count % STOP_CHECK_FILES == 0 and stop():
            raise Stopped
    if missing:
        raise ManifestNamesMissing(missing)
    labels = {listed.label for listed in files.values()}
    check_labels(labels)
    more = "1 picture" if repeated == 1 else f"{repeated} pictures"
    notes = (f"The manifest names {more} more than once.",) if repeated else ()
    return Listing(tuple(files[path] for path in sorted(files)), tuple(sorted(labels)), notes=notes)


def _rows(manifest: Path, group_by: str | None) -> Iterator[_Numbered]:
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".ndjson": _json_rows}
    reader = readers.get(manifest.suffix.lower())
    if reader is None:
        raise ManifestInvalid(None, f"{manifest.name!r} ends neither in .csv nor in .jsonl")
    try:
        yield from reader(manifest, group_by)
    except OSError as error:
        raise RootUnavailable(manifest, error.strerror or "unknown error") from error
    except UnicodeDecodeError as error:
        raise ManifestInvalid(None, "it is not UTF-8") from error


def _csv_rows(manifest: Path, group_by: str | None) -> Iterator[_Numbered]:
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True, strict=True)
        try:
            columns = [name.strip() for name in next(reader, [])]
            _check_columns(1, columns, group_by)
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(columns):
                    why = f"it has {len(cells)} cells, but there are {len(columns)} columns"
                    raise ManifestInvalid(reader.line_num, why)
                yield _Numbered(reader.line_num, dict(zip(columns, cells, strict=True)))
        except csv.Error as error:
            raise ManifestInvalid(reader.line_num, str(error)) from error


def _json_rows(manifest: Path, group_by: str | None) -> Iterator[_Numbered]:
    with manifest.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise ManifestInvalid(line, "it is no JSON") from error
            if not isinstance(row, dict):
                raise ManifestInvalid(line, "it is no JSON object")
            _check_columns(line, list(row), group_by)
            yield _Numbered(line, {name: _text(line, name, row[name]) for name in row})


def _text(line: int, name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ManifestInvalid(line, f"{name} is no text")


def _check_columns(line: int, columns: list[str], group_by: str | None) -> None:
    absent = [name for name in REQUIRED if name not in columns]
    if absent:
        raise ManifestInvalid(line, f"there is no column {absent[0]!r}")
    if group_by is not None and group_by not in columns:
        raise GroupByInvalid(group_by, f"line {line} of the manifest has no such column")
    for at, name in enumerate(columns):
        if name in columns[:at]:
            raise ManifestInvalid(line, f"the column {name!r} is there twice")
        if name not in (*REQUIRED, *OPTIONAL, group_by):
            raise ManifestInvalid(line, f"the column {name!r} is not known")


def _listed(root: Path, line: int, row: Row, group_column: str) -> Listed:
    label = to_label(row["label"].strip())
    if not is_label(label):
        raise ManifestInvalid(line, f"{label[:50]!r} is no label")
    cell = row.get("split", "").strip()
    split = split_named(cell)
    if cell and split is None:
        raise ManifestInvalid(line, f"the split {cell!r} is none of train, val, test")
    path = _path(root, line, row["path"])
    return Listed(path, label, split, row.get(group_column, "").strip() or None)


def _path(root: Path, line: int, text: str) -> bytes:
    """Return a cell's path, relative to the root.

    It is taken as it stands if there is such a file, and else as path_to_text may have written it.
    """
    if not text.strip() or "\0" in text:
        raise ManifestInvalid(line, f"{text!r} is no path")
    plain = _relative(root, line, text.encode())
    escaped = _relative(root, line, path_from_text(text))
    return escaped if escaped != plain and not _exists(root, plain) else plain


def _relative(root: Path, line: int, path: bytes) -> bytes:
    tops = {bytes(root.absolute()), bytes(root.resolve())} if path.startswith(b"/") else {b""}
    for top in tops:
        inside = os.path.normpath(path.removeprefix(top.rstrip(b"/") + b"/") if top else path)
        if inside != b"." and not inside.startswith((b"/", b"../")) and inside != b"..":
            return inside
    raise ManifestInvalid(line, f"{path_to_text(path)} is not inside {root}")


def _exists(root: Path, path: bytes) -> bool:
    return b"\0" not in path and os.path.lexists(root / os.fsdecode(path))
