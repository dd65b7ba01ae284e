"""What ends a whole job, as the errors that its user reads."""

from dataclasses import replace
from pathlib import Path

from imgq_db.closing import EMPTY_SOURCE
from imgq_db.errors import ImgqError
from imgq_db.failures import FailureKind, Setback
from imgq_db.jobs import JobError
from imgq_trainer.errors import QuantisationRefused


def source_unreadable(folder: Path, source: str, error: OSError) -> JobError:
    """The job's folder cannot be opened on the worker's machine."""
    shown = folder if source.startswith("file:") else source
    return JobError(
        "source-unreadable",
        "The folder cannot be read",
        f"{shown}: {(error.strerror or type(error).__name__).lower()}.",
        "Check the path, and that the worker's machine and user can read it; then imgq retry JOB.",
    )


def listing_raised(why: Exception) -> JobError:
    """Listing the folder raised what no folder should make it raise."""
    return JobError(
        "worker-error",
        "The worker failed to list the folder",
        f"Listing raised {type(why).__name__}: {why}",
        "The worker's log has the traceback; this is likely a bug in imgq.",
    )


def nothing_but_links(links: int) -> JobError:
    """The folder holds no file to classify, but links to folders, which were not followed."""
    were = "1 link to a folder was" if links == 1 else f"{links} links to folders were"
    return replace(
        EMPTY_SOURCE,
        detail=f"{EMPTY_SOURCE.detail} {were} not followed.",
        hint="Submit the folders that the links lead to; or check the path and the patterns.",
    )


def source_refused(refused: ImgqError) -> JobError:
    """The job's folder is none that the worker may read."""
    return JobError(refused.slug, refused.title, str(refused), refused.hint)


def retried_job_gone() -> JobError:
    """The job whose failures were to be retried was deleted meanwhile."""
    return JobError(
        "retried-job-gone",
        "The retried job is gone",
        "The job whose failed images were to be retried was deleted.",
        "Submit the folder again.",
    )


def model_unloadable(model: str, why: Exception) -> JobError:
    """The model's files are missing, damaged or not for this version, or int8 is not for it."""
    if isinstance(why, QuantisationRefused):
        return JobError(
            "int8-refused",
            "int8 is not offered for this job",
            f"{model}: {why}",
            "Submit the folder again with --precision auto.",
        )
    return JobError(
        "model-unloadable",
        "The model cannot be loaded",
        f"The model {model} cannot be loaded: {why}",
        getattr(why, "hint", None) or "imgq models import brings it back; then imgq retry JOB.",
    )


def by_workers(error: JobError, setback: Setback) -> JobError:
    """Add who failed: every worker that was there and could have done it."""
    who = ", ".join(setback.workers)
    tried = "tried once" if setback.failures == 1 else f"tried {setback.failures} times"
    return replace(error, detail=f"{error.detail.rstrip('.')} ({tried}, on {who}).")


def model_broken() -> JobError:
    """The model loads, and gives no number for any picture."""
    return JobError(
        "model-unloadable",
        "The model cannot be used",
        "The model's scores are no numbers, not even those of a black picture.",
        "Train or import it again; imgq models lists the others.",
    )


def chunk_keeps_failing(why: Exception) -> JobError:
    """Classifying the same images raised again and again."""
    return JobError(
        "worker-error",
        "The worker failed again and again on the same images",
        f"Classifying raised {type(why).__name__}: {why}",
        "The worker's log has the traceback; this is likely a bug in imgq.",
    )


def process_keeps_dying(why: str, kind: FailureKind) -> JobError:
    """The process ended again and again, or had to be ended, and no picture was being decoded."""
    again = "The worker's process died again and again"
    stacks = "The worker's log has the stacks of its threads; this is likely a bug in a library."
    if kind is FailureKind.MODEL:
        return JobError("model-unloadable", f"{again} while it loaded the model", why, stacks)
    if kind is FailureKind.SOURCE:
        hint = "Check that what it lies on is mounted and answers; then imgq retry JOB."
        return JobError("source-unreadable", "The folder cannot be opened", why, hint)
    return JobError("worker-error", f"{again} on the same images", why, stacks)
