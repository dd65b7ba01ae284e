"""Whether a job has a row for each of its files, and what is said where it has not."""

from __future__ import annotations

from typing import TypedDict

from imgq_cli.exits import Exit
from imgq_cli.formats import number, short_id
from imgq_cli.reports import exit_of
from imgq_cli.shapes import TERMINAL, Job, trains
from imgq_cli.terminal import warn

IN_WORDS = {
    "queued": "has not started",
    "running": "still runs",
    "cancelling": "is being cancelled",
    "cancelled": "was cancelled",
    "failed": "failed",
}


class Standing(TypedDict):
    """How far a job was as its rows were read. total: None unless its folder is listed."""

    state: str
    done: int
    total: int | None


def standing(job: Job) -> Standing:
    """Return how far a job is, for --json."""
    counts = job["progress"]
    return {"state": job["state"], "done": counts["done"], "total": counts["total"]}


def is_complete(job: Job) -> bool:
    """Tell whether every file of the job has its row, and no row can come or go any more."""
    counts = job["progress"]
    ended = job["state"] == "succeeded" or (
        job["state"] in TERMINAL and counts["total"] == counts["done"]
    )
    return ended or trains(job)


def warn_if_incomplete(job: Job) -> None:
    """Tell on stderr how many of the job's files have a row, unless all have."""
    if is_complete(job):
        return
    counts = job["progress"]
    total = f" of {number(counts['total'])}" if counts["total"] is not None else ""
    unlisted = "" if total else ", and its folder is not listed to the end"
    uid = short_id(job["id"])
    later = "" if job["state"] in TERMINAL else f" imgq watch {uid} waits for all."
    warn(
        f"Job {uid} {IN_WORDS[job['state']]}: {number(counts['done'])}{total} files had a row"
        f"{unlisted}.{later}"
    )


def exit_of_rows(*jobs: Job) -> Exit:
    """Return OK if every job has all of its rows, else what the state of the first without says."""
    return next((exit_of(job) for job in jobs if not is_complete(job)), Exit.OK)
