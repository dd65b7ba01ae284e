"""One step for each of several jobs, none of which may hold up the others."""

from collections.abc import Callable, Iterable

from imgq_db.engine import is_away


def for_each_job(ids: Iterable[int], step: Callable[[int], bool]) -> int:
    """Take a step for each job; return for how many it did something.

    Raises what went wrong when all had their turn, several errors as a group, and at once if the
    database is away. Each error has a note that names its job.
    """
    done, failed = 0, list[Exception]()
    for job_id in ids:
        try:
            done += step(job_id)
        except Exception as error:
            error.add_note(f"job.id {job_id}")
            if is_away(error):
                raise
            failed.append(error)
    if len(failed) > 1:
        raise ExceptionGroup("several jobs failed", failed)
    if failed:
        raise failed[0]
    return done
