"""Results into files: checked before the job starts, written beside and renamed, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imgq_cli.client import Client
from imgq_cli.errors import ExportFailed, UsageFault
from imgq_cli.formats import short_id
from imgq_cli.whole_files import is_special, whole_file

FORMATS = ("csv", "jsonl", "parquet")
TAIL_BYTES = 2048
BROKEN_STARTS = {
    "csv": (b"#export-broken", b'"#export-broken'),
    "jsonl": (b'{"type":"urn:imgq:problem:export-broken"',),
}


def check_output(path: Path, *, format: str | None = None) -> None:
    """Raise UsageFault unless results could be written to this file.

    format: the format, where the extension does not tell it.
    """
    if path.is_dir():
        raise UsageFault(f"{path} is a folder, not a file.", hint=f"-o {path}/labels.csv")
    if format is None:
        format_of(path)
    if is_special(path):
        return
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise UsageFault(f"The folder of {path} does not exist.", hint=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageFault(
            f"The folder of {path} cannot be written to.", hint="name a file elsewhere"
        )


def check_outputs(paths: Sequence[Path]) -> None:
    """Check every file, and that no two are the same."""
    for path in paths:
        check_output(path)
    if len({os.path.realpath(path) for path in paths}) < len(paths):
        raise UsageFault("The same output file is given twice.", hint="leave one -o out")


def format_of(path: Path) -> str:
    """Return the format that a file's extension asks for."""
    extension = path.suffix.removeprefix(".").lower()
    if extension not in FORMATS:
        raise UsageFault(
            f"The format of {path} is not known: it should end with .csv, .jsonl or .parquet.",
            hint=f"-o {path.with_suffix('.csv')}",
        )
    return extension


def export(
    client: Client,
    uid: str,
    path: Path,
    *,
    format: str | None = None,
    filters: Mapping[str, Any] | None = None,
) -> int:
    """Write a job's results to a file and return its size in bytes.

    The file appears whole or not at all.
    """
    format = format or format_of(path)
    url = f"/v1/jobs/{uid}/results.{format}"
    try:
        with client.download(url, filters) as pieces, whole_file(path) as file:
            return sum(file.write(piece) for piece in unbroken(pieces, format))
    except OSError as error:
        raise _failure(error, uid, path) from error


def unbroken(pieces: Iterator[bytes], format: str) -> Iterator[bytes]:
    """Give the pieces of an export on, and raise ExportFailed if its end says that it broke.

    The server cannot take back a status of 200: it marks the end of a broken export.
    """
    tail = b""
    for piece in pieces:
        tail = (tail + piece)[-TAIL_BYTES:]
        yield piece
    last_line = tail.rstrip().rpartition(b"\n")[2]
    if format == "parquet":
        broken = not tail.endswith(b"PAR1")
    else:
        broken = last_line.startswith(BROKEN_STARTS[format])
    if broken:
        raise ExportFailed(
            "The server failed while it wrote the results: they are incomplete.",
            hint="the same command again",
        )


def _failure(error: OSError, uid: str, path: Path) -> ExportFailed:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    why = "the disk is full" if full else error.strerror or str(error)
    return ExportFailed(
        f"{path} was not written: {why}. The results are safe on the server.",
        hint=f"imgq results {short_id(uid)} -o OTHER{path.suffix}",
    )
