"""One claimed training, from the leftovers of the attempt before to what becomes of this one."""

import structlog

from imgq_db.closing import close_job
from imgq_db.engine import is_outage
from imgq_db.errors import ArtifactInvalid, LeaseLost, SourceInvalid, SourceNotAllowed
from imgq_db.jobs import JobError
from imgq_db.training.attempts import fail_training, release_after_crash
from imgq_db.training.events import Said, store_events
from imgq_db.training.leases import (
    TrainingLease,
    begin_attempt,
    let_go_training,
    note_processes,
    release_training,
)
from imgq_db.workers import set_activity
from imgq_workers.errors import model_unloadable, source_refused
from imgq_workers.models import ModelUnloadable
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.errors import (
    attempt_died,
    attempt_hung,
    died_by_signal,
    result_unusable,
    trainer_crashed,
    trainer_silent,
)
from imgq_workers.training.folders import last_whole_checkpoint, take_folder
from imgq_workers.training.keeper import TrainingKeeper, keep_training
from imgq_workers.training.lines import Done, Failed
from imgq_workers.training.listening import Heard, Stop, listen
from imgq_workers.training.processes import TrainerProcess, kill_leftover
from imgq_workers.training.registering import register
from imgq_workers.training.specs import command_of, trainer_environment, write_spec

_log = structlog.get_logger(__name__)


def supervise(context: TrainerContext, lease: TrainingLease, devices: tuple[str, ...]) -> None:
    """Train or evaluate until the job has ended, or the claim is given back or lost."""
    with structlog.contextvars.bound_contextvars(job=str(lease.job_uid), attempt=lease.attempt):
        shown = ", ".join(dict.fromkeys(devices))
        set_activity(context.engine, context.worker_uid, job=lease.job_uid, device=shown)
        with keep_training(context, lease) as keeper:
            try:
                _attempt(context, lease, devices, keeper)
            except LeaseLost:
                _let_go(context, lease)
            except (SourceNotAllowed, SourceInvalid) as error:
                _fail(context, lease, source_refused(error))
            except ModelUnloadable as error:
                _fail(context, lease, model_unloadable(error.model, error.why))


def _attempt(
    context: TrainerContext,
    lease: TrainingLease,
    devices: tuple[str, ...],
    keeper: TrainingKeeper,
) -> None:
    killed = kill_leftover(lease.leftover, str(lease.job_uid))
    if killed:
        _log.warning("leftover_killed", processes=killed)
    folder = take_folder(context.settings, lease)
    checkpoint = last_whole_checkpoint(folder, lease.checkpoints)
    begin_attempt(context.engine, lease, checkpoint)
    resume = None if checkpoint is None else folder / checkpoint.path
    spec = write_spec(context, lease, folder, resume, devices)
    argv = [*context.command, command_of(lease), str(spec)]
    _log.info("training_started", kind=lease.kind.value, devices=devices, resumed=str(resume))
    with TrainerProcess(argv, env=trainer_environment(lease, devices), folder=folder) as process:
        note_processes(context.engine, lease, process.group)
        heard = listen(context, lease, process, keeper, folder)
        status = process.status()
    _settle(context, lease, heard, status, process.stderr_tail)


def _settle(
    context: TrainerContext, lease: TrainingLease, heard: Heard, status: int, stderr: str
) -> None:
    attempts, silence = context.settings.train_attempts, context.settings.train_silence_seconds
    if heard.stop is Stop.LOST:
        _let_go(context, lease)
    elif isinstance(heard.ending, Done):
        _register(context, lease, heard.ending)
    elif isinstance(heard.ending, Failed):
        _keep_words(context, lease, [], stderr)
        _fail(context, lease, heard.ending.error)
    elif heard.stop is Stop.DRAINING:
        release_training(context.engine, lease)
        _log.info("training_given_back")
    elif heard.stop is Stop.SILENT:
        error = trainer_silent(silence)
        _keep_words(context, lease, [attempt_hung(lease.attempt, silence)], stderr)
        release_after_crash(context.engine, lease, error, idle_attempts=attempts)
    else:
        error = trainer_crashed(status, stderr)
        _log.error("trainer_crashed", status=status, stderr=stderr)
        _keep_words(context, lease, [attempt_died(lease.attempt, status)], stderr)
        if died_by_signal(status):
            release_after_crash(context.engine, lease, error, idle_attempts=attempts)
        else:
            _fail(context, lease, error)


def _keep_words(
    context: TrainerContext, lease: TrainingLease, warnings: list[str], stderr: str
) -> None:
    """Keep the last lines of a trainer that is gone in the job's log. Raises LeaseLost."""
    said = [Said("warning", warning) for warning in warnings]
    said += [Said("output", line) for line in stderr.splitlines()]
    if said:
        store_events(context.engine, lease, said)


def _register(context: TrainerContext, lease: TrainingLease, done: Done) -> None:
    try:
        model = register(context, lease, done)
    except (ArtifactInvalid, OSError, ValueError, KeyError, TypeError) as error:
        if is_outage(error):
            raise
        _log.exception("result_unusable")
        _fail(context, lease, result_unusable(error))
    else:
        _log.info("training_registered", model=model)


def _fail(context: TrainerContext, lease: TrainingLease, error: JobError) -> None:
    if fail_training(context.engine, lease, error):
        _log.error("job_ended", slug=error.slug, detail=error.detail)
    else:
        _let_go(context, lease)


def _let_go(context: TrainerContext, lease: TrainingLease) -> None:
    _log.info("training_lost")
    if let_go_training(context.engine, lease):
        close_job(context.engine, lease.job_id)
