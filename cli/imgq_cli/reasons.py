"""Why a job waits, runs, failed or ended as it did, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from imgq_cli.codes import MEANING
from imgq_cli.dry_runs import labelling_command
from imgq_cli.formats import clock_time, count, number
from imgq_cli.jobrefs import job_hint
from imgq_cli.shapes import Job, Worker, is_dry_run, train_progress, train_result, trains
from imgq_cli.standings import HEADINGS, standing_of
from imgq_cli.train_lines import stage_word, train_figures


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the job depends on. errors: failed pictures by code."""

    workers: Sequence[Worker]
    queue_answers: bool
    errors: dict[str, int]


@dataclass(frozen=True, slots=True)
class Reason:
    """One sentence, and what to do about it."""

    text: str
    hint: str | None = None


def explain(job: Job, around: Surroundings) -> list[Reason]:
    """Return what holds the job up, or what became of it."""
    of_state = {
        "queued": _waits,
        "running": _runs,
        "cancelling": _is_cancelled,
        "succeeded": _succeeded,
        "failed": _failed,
        "cancelled": _cancelled,
    }
    return list(of_state[job["state"]](job, _those_for(job, around)))


def _those_for(job: Job, around: Surroundings) -> Surroundings:
    """Leave out the workers that take other kinds of jobs."""
    queue = "classify" if job.get("kind", "classify") == "classify" else "train"
    takers = [worker for worker in around.workers if worker.get("queue", "classify") == queue]
    return replace(around, workers=takers)


def _waits(job: Job, around: Surroundings) -> Iterator[Reason]:
    yield from _queue(around)
    able = _able(job, around)
    if not around.workers:
        yield Reason(
            f"No {_taker(job)} has been heard of lately, so nobody can take it.",
            f"imgq {_taker(job)}, or imgq up on this machine",
        )
    elif not able:
        yield _lacks(job, around)
    ahead = job["queue_position"]
    if ahead:
        yield Reason(f"{count(ahead, 'job')} of the same or a higher priority came first.")
    busy = [worker for worker in able if worker["job"] not in (None, job["id"])]
    if able and len(busy) == len(able):
        yield Reason(f"Every {_taker(job)} that could take it is busy ({number(len(busy))}).")
    elif able and not ahead and around.queue_answers and not job.get("notice"):
        yield Reason(f"A {_taker(job)} is free; it should start within seconds.")
    yield from _notice(job, able)


def _runs(job: Job, around: Surroundings) -> Iterator[Reason]:
    yield from _queue(around)
    at_it = [worker for worker in around.workers if worker["job"] == job["id"]]
    if trains(job):
        yield from _trains(job, around, at_it)
        return
    counts = job["progress"]
    if counts["total"] is None:
        yield Reason("Its folder is being listed; how many pictures there are is not known yet.")
    if at_it:
        hosts = ", ".join(sorted({f"{worker['host']} ({worker['device']})" for worker in at_it}))
        yield Reason(f"{count(len(at_it), 'worker')} at it: {hosts}.")
    elif not around.workers:
        yield Reason(
            "No worker has been heard of lately: it stands still, and goes on where "
            "it was when one is back.",
            "imgq worker, or imgq up on this machine",
        )
    elif not _able(job, around):
        yield _lacks(job, around)
    else:
        yield Reason("No worker is at it this moment; the next free one goes on.")
    yield from _notice(job, _able(job, around))
    if counts["images_per_second"] and counts["eta_seconds"] is not None:
        speed = number(counts["images_per_second"])
        yield Reason(
            f"It does {speed} images/s and needs {clock_time(counts['eta_seconds'])} more."
        )


def _trains(job: Job, around: Surroundings, at_it: Sequence[Worker]) -> Iterator[Reason]:
    if at_it:
        worker = at_it[0]
        yield Reason(f"A trainer is at it: {worker['host']} ({worker['device']}).")
        stage = stage_word(train_progress(job)["stage"])
        yield Reason(": ".join(filter(None, (stage, train_figures(job)))) + ".")
    elif around.workers:
        yield Reason(
            "No trainer is at it this moment; the next free one goes on from the last checkpoint."
        )
    else:
        yield Reason(
            "No trainer has been heard of lately: it stands still, and goes on from the last "
            "checkpoint when one is back.",
            "imgq trainer, or imgq up on this machine",
        )


def _taker(job: Job) -> str:
    return "trainer" if trains(job) else "worker"


def _is_cancelled(job: Job, around: Surroundings) -> Iterator[Reason]:
    at_it = [worker for worker in around.workers if worker["job"] == job["id"]]
    yield Reason("Someone cancelled it. No further result is stored.")
    if at_it:
        yield Reason(f"{count(len(at_it), _taker(job))} still to let go, which takes seconds.")


def _succeeded(job: Job, around: Surroundings) -> Iterator[Reason]:
    if trains(job):
        yield from _trained(job)
        return
    counts = job["progress"]
    yield Reason(f"It is done: every file has its row ({number(counts['done'])}).")
    if is_dry_run(job):
        yield Reason("It was a dry run: nothing was labelled.", labelling_command(job))
    yield from _failures(job, around)


def _trained(job: Job) -> Iterator[Reason]:
    result = train_result(job)
    if result:
        done = "is registered" if job["kind"] == "train" else "is evaluated"
        yield Reason(f"It is done: {result['model']} {done}.")
        if standing := standing_of(result["metrics"]):
            yield Reason(f"{HEADINGS[standing]}.")
        yield from map(Reason, result["verdict"])


def _failed(job: Job, around: Surroundings) -> Iterator[Reason]:
    problem = job["error"] or {}
    text = str(problem.get("detail") or problem.get("title") or "It failed.")
    yield Reason(text, job_hint(job))
    yield from _failures(job, around)


def _cancelled(job: Job, around: Surroundings) -> Iterator[Reason]:
    if trains(job):
        yield Reason(
            "Someone cancelled it. Nothing was registered.", f"imgq retry {job['id'][-8:]}"
        )
        return
    done = count(job["progress"]["done"], "file")
    yield Reason(f"Someone cancelled it. {done} had a result by then, which stays.")


def _failures(job: Job, around: Surroundings) -> Iterator[Reason]:
    for code, images in sorted(around.errors.items(), key=lambda item: -item[1]):
        meaning = MEANING.get(code, "no further word on it")
        yield Reason(f"{count(images, 'picture')} failed with {code}: {meaning}.")
    if around.errors:
        yield Reason(
            "Each of them is in the results.", f"imgq results {job['id'][-8:]} --status failed"
        )


def _queue(around: Surroundings) -> Iterator[Reason]:
    if not around.queue_answers:
        yield Reason(
            "The queue (Redis) does not answer, or it refuses, as it does when its disk is full. "
            "The job is kept in the database and goes on when the queue is back.",
            "imgq doctor",
        )


def root_of(job: Job) -> str:
    """Return what a worker must be able to read for a job, as workers name it."""
    uri = job.get("source", {}).get("uri", "")
    return "file:" if uri.startswith("file:") else uri.removeprefix("root:").partition("/")[0]


def _notice(job: Job, able: Sequence[Worker]) -> Iterator[Reason]:
    """Tell the server's word on the job, unless it was told already that nobody can take it."""
    if able and job.get("notice"):
        yield Reason(str(job.get("notice")))


def _able(job: Job, around: Surroundings) -> list[Worker]:
    return [
        worker for worker in around.workers if _can_read(worker, job) and _computes(worker, job)
    ]


def _lacks(job: Job, around: Surroundings) -> Reason:
    """Say what no worker that is there can do."""
    if not any(_can_read(worker, job) for worker in around.workers):
        return Reason(
            f"No {_taker(job)} can read {root_of(job)}: each takes only jobs whose root it has.",
            f"start a {_taker(job)} with that root in IMGQ_ROOTS",
        )
    if job.get("precision") == "int8":
        return Reason(
            "No worker that is there computes int8: that takes a CPU with VNNI, and OpenVINO.",
            "submit it again with --precision auto",
        )
    return Reason(
        f"No worker that is there computes {job.get('precision')}: it waits for one that does.",
        "start such a worker, or cancel it and submit it again",
    )


def _computes(worker: Worker, job: Job) -> bool:
    offered, wanted = worker.get("precisions"), job.get("precision")
    if trains(job) or offered is None or wanted is None:
        return True
    return bool(offered) if wanted == "auto" else wanted in offered


def _can_read(worker: Worker, job: Job) -> bool:
    roots = worker.get("roots")
    return roots is None or root_of(job) in roots or _is_in_registry(job)


def _is_in_registry(job: Job) -> bool:
    """Tell whether a job reads the data directory alone, which every worker has."""
    return job.get("source", {}).get("uri", "").startswith("registry:")
