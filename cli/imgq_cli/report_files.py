"""The report of a training or an evaluation, saved into a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from imgq_cli.client import Client
from imgq_cli.errors import ExportFailed, UsageFault
from imgq_cli.formats import short_id
from imgq_cli.shapes import Job
from imgq_cli.terminal import warn
from imgq_cli.whole_files import whole_file

PAGE_FILE, FIGURES_FILE = "report.html", "report.json"


def check_report_folder(folder: Path) -> None:
    """Raise UsageFault unless a report could be written into this folder, made if need be."""
    if folder.exists() and not folder.is_dir():
        raise UsageFault(
            f"{folder} is a file: a report is a folder with {PAGE_FILE} and {FIGURES_FILE}.",
            hint=f"-o {folder.with_suffix('')}-report",
        )
    above = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageFault(f"{above} cannot be written to.", hint="name a folder elsewhere")


def save_reports(client: Client, job: Job, folders: Sequence[Path]) -> list[Path]:
    """Write an ended job's report into each folder; return the pages, none if it has no report."""
    if job["state"] == "succeeded":
        return [save_report(client, job["id"], folder) for folder in folders]
    if folders:
        warn("No report was written, as the job has not succeeded.")
    return []


def save_report(client: Client, uid: str, folder: Path) -> Path:
    """Write a job's report into a folder and return its page's path; each file is whole or not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, name in (("report", PAGE_FILE), ("report.json", FIGURES_FILE)):
            _save(client, f"/v1/jobs/{uid}/{path}", folder / name)
    except OSError as error:
        raise ExportFailed(
            f"The report was not written: {error.strerror or error}. It is safe on the server.",
            hint=f"imgq watch {short_id(uid)} -o OTHER",
        ) from error
    return folder / PAGE_FILE


def _save(client: Client, url: str, path: Path) -> None:
    with client.download(url) as pieces, whole_file(path) as file:
        for piece in pieces:
            file.write(piece)
