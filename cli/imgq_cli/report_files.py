"""The report of a training or an evaluation, saved into a folder."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from imgq_cli.archives import add_to_folder
from imgq_cli.client import Client
from imgq_cli.errors import ExportFailed, UsageFault
from imgq_cli.formats import short_id
from imgq_cli.shapes import Job
from imgq_cli.terminal import warn

PAGE_FILE = "report.html"


def check_report_folder(folder: Path) -> None:
    """Raise UsageFault unless a report could be written into this folder, made if need be."""
    if folder.exists() and not folder.is_dir():
        raise UsageFault(
            f"{folder} is a file: a report is a folder with {PAGE_FILE}, its figures and plots.",
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
    """Write a job's report with its figures and plots into a folder; return its page's path."""
    try:
        add_to_folder(client, f"/v1/jobs/{uid}/report.tar", folder)
    except (OSError, tarfile.TarError) as error:
        why = getattr(error, "strerror", None) or error
        raise ExportFailed(
            f"The report was not written: {why}. It is safe on the server.",
            hint=f"imgq watch {short_id(uid)} -o OTHER",
        ) from error
    return folder / PAGE_FILE
