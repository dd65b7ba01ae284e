"""One step for each of several jobs, none of which may hold up the others."""

from collections.abc import Callable, Iterable

from imgq_db.engine import is_away


def for_each_job(ids: Iterable[int], step: Callable[[int], bool]) -> int:
    """Take a step for each job; return for how many it did something.

    Raises the first error when all had their turn, and at once if the database is away.
    """
    done, failed = 0, list[Exception]()
    for job_id in ids:
        try:
            done += step(job_id)
        except Exception as error:
            if is_away(error):
                raise
            failed.append(error)
    if failed:
        raise failed[0]
    return done
