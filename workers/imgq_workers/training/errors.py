"""What ends a train or evaluate job from outside the trainer, as its user reads it."""

import signal

from imgq_db.jobs import JobError

#: The status of a program that a SIGTERM ended in its own way.
TERMINATED = 128 + signal.SIGTERM


def died_by_signal(status: int) -> bool:
    """Tell a process that was killed from one that ended by itself."""
    return status < 0 or status == TERMINATED


def trainer_crashed(status: int, stderr: str) -> JobError:
    """The trainer's process ended without a word."""
    said = f" Its last words:\n{stderr}" if stderr else " It left no words."
    return JobError(
        "trainer-crashed",
        "The training's process died",
        f"The trainer ended {_how(status)}.{said}".replace("\0", " "),
        "A process that is killed often means too little memory: try smaller pictures, or the"
        " preset fast. Then imgq retry JOB."
        if died_by_signal(status)
        else "This is likely a bug in imgq: please report it with these lines.",
    )


def attempt_died(attempt: int, status: int) -> str:
    """Return what the job's log keeps of an attempt that ended without a word."""
    return f"Attempt {attempt} ended {_how(status)}."


def attempt_hung(attempt: int, seconds: float) -> str:
    """Return what the job's log keeps of an attempt that was killed for its silence."""
    return f"Attempt {attempt} was ended: it said nothing for {seconds:.0f} s."


def trainer_silent(seconds: float) -> JobError:
    """The trainer said nothing for too long, again and again."""
    return JobError(
        "no-progress",
        "The training hangs",
        f"The trainer said nothing for {seconds:.0f} s, and so did each attempt to resume it.",
        "IMGQ_TRAIN_SILENCE_SECONDS allows more. Then imgq retry JOB.",
    )


def result_unusable(why: Exception) -> JobError:
    """The trainer said that it is done, but its files cannot be registered."""
    return JobError(
        "trainer-result-invalid",
        "The training's files cannot be used",
        f"The trainer said that it was done, but {type(why).__name__}: {why}".replace("\0", " "),
        "This is likely a bug in imgq; the trainer's log has more.",
    )


def _how(status: int) -> str:
    if status == TERMINATED:
        return "by SIGTERM"
    if status < 0:
        try:
            return f"by {signal.Signals(-status).name}"
        except ValueError:
            return f"by signal {-status}"
    return f"with exit status {status}, and said neither done nor failed"
