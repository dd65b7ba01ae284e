"""From what a user types as JOB to a job's id: all of it, its start or end, or `last`."""

from __future__ import annotations

import re
import uuid

from imgq_cli.calls import iterate_jobs
from imgq_cli.client import Client
from imgq_cli.errors import NotFound, UsageFault
from imgq_cli.formats import short_id
from imgq_cli.shapes import Job

SHORTEST = 6


def resolve_job(client: Client, text: str) -> str:
    """Return the full id of the job that the text names.

    Raises NotFound if no job fits, UsageFault if several do or the text is too short.
    """
    if text == "last":
        return _newest(client)
    wanted = text.lower()
    if is_full_id(wanted):
        return str(uuid.UUID(wanted))
    if len(wanted) < SHORTEST:
        raise UsageFault(
            f"{text!r} is too short for a job: give {SHORTEST} characters or more, or last.",
            hint="imgq jobs",
        )
    found = [job["id"] for job in iterate_jobs(client) if _fits(wanted, job["id"])]
    if not found:
        raise NotFound(f"There is no job {text!r}.", hint="imgq jobs")
    if len(found) > 1:
        raise UsageFault(
            f"{text!r} fits {len(found)} jobs: {', '.join(found[:5])}.",
            hint=f"imgq status {short_id(found[0])}",
        )
    return found[0]


def job_hint(job: Job) -> str | None:
    """Return what to try about a job's error, with the job's id in the place of JOB."""
    hint = (job["error"] or {}).get("hint")
    return re.sub(r"\bJOB\b", short_id(job["id"]), str(hint)) if hint else None


def _newest(client: Client) -> str:
    for job in iterate_jobs(client, limit=1):
        return job["id"]
    raise NotFound("There is no job yet.", hint="imgq submit-folder ./images")


def is_full_id(text: str) -> bool:
    """Tell whether the text is a whole job id, which needs no look-up."""
    return len(text.replace("-", "")) == 32 and not set(text) - set("0123456789abcdef-")


def _fits(wanted: str, uid: str) -> bool:
    plain = uid.replace("-", "")
    # The start of the short id that tables show counts too: it is what people copy half of.
    starts = (uid, plain, short_id(uid))
    return any(form.startswith(wanted) for form in starts) or plain.endswith(
        wanted.replace("-", "")
    )
