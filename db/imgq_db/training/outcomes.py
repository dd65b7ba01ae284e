"""The end of a training: its version registered once, its job ended, in one transaction."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from imgq_db.engine import single_statements
from imgq_db.errors import LeaseLost
from imgq_db.failpoints import failpoint
from imgq_db.models import NewVersion, Origin, get_version, insert_version
from imgq_db.promotions import settle_promotion
from imgq_db.train_options import EvaluateOptions, TrainOptions
from imgq_db.training.attempts import lock_job
from imgq_db.training.datasets import DatasetSnapshot, insert_dataset
from imgq_db.training.leases import FENCE, TrainingLease

_END_TRAINING = f"""
UPDATE training SET state = 'done', owner = NULL, lease_until = NULL, host = NULL, pid = NULL,
    eta_seconds = NULL, dataset_digest = :dataset, report = :report WHERE {FENCE}
"""
_END_JOB = """
UPDATE job SET state = 'succeeded', result = CAST(:result AS jsonb), finished_at = imgq_now(),
    counted_at = imgq_now() WHERE id = :job_id AND state = 'running'
"""

#: What a job's result names as its model, and what else it says.
Outcome = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an evaluation came to. report: the digest under which its folder is kept."""

    metrics: Mapping[str, Any]
    verdict: tuple[str, ...]
    report: str | None
    dataset: DatasetSnapshot | None


def finish_training(
    engine: Engine, lease: TrainingLease, new: NewVersion, judgement: Judgement
) -> str:
    """Register the version and end the job; return its name and number, "birds:3".

    Everything that the rows name must be in the data directory already.
    Raises LeaseLost, and then nothing was written: a second end changes nothing.
    """
    options = lease.options
    assert isinstance(options, TrainOptions)
    origin = Origin(
        source="train",
        job=lease.job_uid,
        parent_id=_parent_of(engine, lease, new),
        dataset=judgement.dataset.digest if judgement.dataset else None,
        report=judgement.report,
        training={**options.to_json(), "verdict": list(judgement.verdict)},
    )

    def register(connection: Connection) -> Outcome:
        _, ref = insert_version(connection, options.name, new, origin)
        return ref, {}

    return _finish(engine, lease, judgement, register)


def _parent_of(engine: Engine, lease: TrainingLease, new: NewVersion) -> int | None:
    """Return the version that it began from; the one that was asked for may have served nothing."""
    if lease.model_version_id is None or new.parent is None:
        return None
    asked = get_version(engine, lease.model_version_id)
    return asked.id if asked.ref == new.parent else None


def finish_evaluation(engine: Engine, lease: TrainingLease, judgement: Judgement) -> str:
    """End an evaluate job with its result; return what was evaluated. Raises LeaseLost."""
    assert lease.model_version_id is not None
    evaluated = get_version(engine, lease.model_version_id).ref
    return _finish(engine, lease, judgement, lambda connection: (evaluated, {}))


def finish_export(engine: Engine, lease: TrainingLease, parity: Mapping[str, Any]) -> str:
    """End a job that wrote a version in another format; return the version. Raises LeaseLost."""
    assert lease.model_version_id is not None
    written = get_version(engine, lease.model_version_id).ref
    judgement = Judgement(parity, (f"{written} was written, and checked.",), None, None)
    return _finish(engine, lease, judgement, lambda connection: (written, {}))


def finish_comparison(engine: Engine, lease: TrainingLease, judged: Mapping[str, Any]) -> str:
    """Move an alias if the gate lets it, and end the job; return the challenger.

    judged: passed, reasons and counts. Raises LeaseLost.
    """
    options = lease.options
    assert isinstance(options, EvaluateOptions) and lease.model_version_id is not None
    challenger = get_version(engine, lease.model_version_id)

    def settle(connection: Connection) -> Outcome:
        change = settle_promotion(connection, challenger, options, judged, lease.job_uid)
        verb = "is" if change.moves else "does not become"
        ends = f"{challenger.ref} {verb} {challenger.name}@{change.alias}."
        promotion = {
            "alias": change.alias,
            "champion": options.against,
            "decision": change.decision.value,
            "reasons": list(change.reasons),
        }
        return challenger.ref, {"verdict": [ends, *change.reasons], "promotion": promotion}

    return _finish(engine, lease, Judgement(judged["counts"], (), None, None), settle)


def _finish(
    engine: Engine,
    lease: TrainingLease,
    judgement: Judgement,
    register: Callable[[Connection], Outcome],
) -> str:
    try:
        with engine.begin() as connection:
            model = _write(connection, lease, judgement, register)
            failpoint("register.before_commit", str(lease.job_uid))
        return model
    except DBAPIError:
        # The commit's answer may be lost: the row says whether it took place.
        finished = _finished_model(engine, lease)
        if finished is None:
            raise
        return finished


def _write(
    connection: Connection,
    lease: TrainingLease,
    judgement: Judgement,
    register: Callable[[Connection], Outcome],
) -> str:
    lock_job(connection, lease.job_id)
    if judgement.dataset is not None:
        insert_dataset(connection, judgement.dataset)
    ended = connection.execute(
        text(_END_TRAINING),
        {
            **lease.fence,
            "dataset": judgement.dataset.digest if judgement.dataset else None,
            "report": judgement.report,
        },
    )
    if ended.rowcount != 1:
        raise LeaseLost(f"the training of job {lease.job_uid}")
    model, more = register(connection)
    result = {
        "model": model,
        "metrics": dict(judgement.metrics),
        "verdict": list(judgement.verdict),
        **more,
    }
    connection.execute(text(_END_JOB), {"job_id": lease.job_id, "result": json.dumps(result)})
    return model


def _finished_model(engine: Engine, lease: TrainingLease) -> str | None:
    with single_statements(engine) as connection:
        found = connection.execute(
            text(
                "SELECT j.result ->> 'model' FROM job j JOIN training t ON t.job_id = j.id"
                " WHERE t.job_id = :job_id AND t.token = :token AND t.state = 'done'"
            ),
            lease.fence,
        ).scalar()
    return None if found is None else str(found)
