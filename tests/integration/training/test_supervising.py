"""A supervisor with a stand-in for the trainer: what becomes of a job, whatever it says."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, create_engine

from imgq_db.artifacts import is_intact
from imgq_db.cancelling import cancel_job
from imgq_db.jobs import Job, JobKind, JobState, get_job
from imgq_db.models import resolve_model
from imgq_db.settings import Settings
from imgq_db.training.keeping import work_folder
from imgq_db.training.lineage import list_test_pictures, trained_on
from imgq_db.training.progress import list_epochs, list_training_log
from imgq_db.training.reports import report_of_job, report_of_version
from imgq_db.verifying import verify_job
from imgq_db.workers import beat_worker, start_draining
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.loop import train

Submit = Callable[..., Job]
Wait = Callable[[Callable[[], bool]], None]


def broken_rules(engine: Engine, settings: Settings, job: Job) -> list[str]:
    checks = verify_job(engine, job.uid, settings=settings)
    return [check.rule for check in checks if not check.holds]


def test_a_training_registers_a_version_with_all_that_it_left(
    engine: Engine, settings: Settings, context: TrainerContext, submit_training: Submit
) -> None:
    job = submit_training()
    train(context)
    ended, version = get_job(engine, job.uid), resolve_model(engine, "birds")
    assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
    assert ended.result == {
        "model": "birds:1",
        "metrics": {"accuracy": 0.9},
        "verdict": ["Good enough."],
    }
    assert (version.source, version.job, version.parent) == ("train", job.uid, "imagenet:1")
    assert version.digest and is_intact(settings, version.digest)
    assert (report_of_version(settings, version) / "report.html").read_text() == "<p>wrens</p>"
    assert report_of_job(engine, settings, job.uid) == report_of_version(settings, version)
    assert broken_rules(engine, settings, job) == []
    assert not work_folder(settings, job.uid).exists()


def test_a_model_that_began_with_random_weights_has_no_parent(
    engine: Engine, context: TrainerContext, submit_training: Submit
) -> None:
    job = submit_training(random=True)
    train(context)
    version = resolve_model(engine, "birds")
    assert (job.model, version.parent) == ("imagenet:1", None)


def test_progress_epochs_and_words_are_there_to_be_watched(
    engine: Engine, context: TrainerContext, submit_training: Submit
) -> None:
    job = submit_training(epochs=3, nan=True)
    train(context)
    shown = get_job(engine, job.uid).training
    assert shown is not None
    assert (shown.stage, shown.epoch, shown.epochs, shown.fraction) == ("finetune", 3, 3, 1.0)
    epochs = list_epochs(engine, job.id)
    assert [(each.stage, each.epoch, each.val_loss) for each in epochs] == [
        ("finetune", number, None) for number in (1, 2, 3)
    ]
    log = list_training_log(engine, job.id)
    assert [(line.level, line.message) for line in log] == [
        ("output", "loading libraries"),
        ("info", "4 pictures."),
    ]
    assert list_training_log(engine, job.id, after=log[0].seq) == log[1:]


def test_the_gate_is_told_which_pictures_tested_and_which_were_learnt(
    engine: Engine,
    settings: Settings,
    context: TrainerContext,
    submit_training: Submit,
    folder: Path,
) -> None:
    submit_training()
    train(context)
    first = resolve_model(engine, "birds:1")
    submit_training({"init": "birds:1", "seed": 7})
    train(context)
    second = resolve_model(engine, "birds:2")
    pictures = list_test_pictures(settings, first)
    assert [(each.path, each.file and each.file.read_bytes()) for each in pictures] == [
        ("jay/1.jpg", b"jay 1"),
        ("wren/1.jpg", b"wren 1"),
    ]
    learnt = trained_on(engine, settings, second)
    assert (second.parent, learnt.complete, len(learnt.digests)) == ("birds:1", True, 2)
    assert all(learnt.provably_unseen(each.digest) for each in pictures)


def test_too_large_a_test_split_is_not_kept_and_said(
    engine: Engine, settings: Settings, context: TrainerContext, submit_training: Submit
) -> None:
    job = submit_training()
    train(replace(context, settings=context.settings.model_copy(update={"test_picture_bytes": 3})))
    (_, _, line) = list_training_log(engine, job.id)
    assert line.level == "warning" and "not kept" in line.message
    pictures = list_test_pictures(settings, resolve_model(engine, "birds"))
    assert [each.file for each in pictures] == [None, None]


def test_an_evaluation_ends_with_metrics_and_a_report_of_its_own(
    engine: Engine,
    settings: Settings,
    context: TrainerContext,
    submit_training: Submit,
    submit_evaluation: Callable[[str], Job],
) -> None:
    submit_training()
    train(context)
    job = submit_evaluation("birds")
    train(context)
    ended = get_job(engine, job.uid)
    assert (ended.kind, ended.state, ended.model) == (
        JobKind.EVALUATE,
        JobState.SUCCEEDED,
        "birds:1",
    )
    assert ended.result and ended.result["metrics"] == {"accuracy": 0.9}
    assert (report_of_job(engine, settings, job.uid) / "plots" / "confusion.svg").is_file()
    assert broken_rules(engine, settings, job) == []


@pytest.mark.parametrize(
    ("ending", "slug", "words"),
    [
        ("failed", "too-few-classes", "One class."),
        ("3", "trainer-crashed", "with exit status 3, and said neither done nor failed"),
        ("0", "trainer-crashed", "ValueError: no"),
        ("SIGKILL", "trainer-crashed", "by SIGKILL"),
    ],
)
def test_a_training_that_fails_says_why(
    engine: Engine,
    settings: Settings,
    context: TrainerContext,
    submit_training: Submit,
    ending: str,
    slug: str,
    words: str,
) -> None:
    job = submit_training(ending=ending, checkpoints=False)
    train(context)
    ended = get_job(engine, job.uid)
    assert ended.state is JobState.FAILED
    assert ended.error and ended.error.slug == slug and words in ended.error.detail
    assert broken_rules(engine, settings, job) == []
    assert not work_folder(settings, job.uid).exists()


def test_the_last_words_of_attempts_that_died_are_kept(
    engine: Engine, context: TrainerContext, submit_training: Submit
) -> None:
    job = submit_training(ending="SIGKILL", checkpoints=False)
    other = submit_training(ending="3", checkpoints=False)
    train(context)

    warnings = [
        line.message for line in list_training_log(engine, job.id) if line.level == "warning"
    ]
    assert warnings == [f"Attempt {number} ended by SIGKILL." for number in (1, 2, 3)]
    last = [line.message for line in list_training_log(engine, other.id)][-2:]
    assert last == ["Traceback (most recent call last):", "ValueError: no"]


def test_a_killed_trainer_goes_on_from_its_last_checkpoint(
    engine: Engine,
    settings: Settings,
    submit_training: Submit,
    supervising: Any,
    processes_of: Callable[[Job], list[psutil.Process]],
    hold: Path,
    wait_until: Wait,
    fetch: Callable[[str], Any],
) -> None:
    job = submit_training(epochs=4, hold_at=2, hold=str(hold), grandchild=True)
    with supervising():
        wait_until(lambda: len(fetch("SELECT 1 FROM checkpoint")) == 2)
        trainer = next(p for p in processes_of(job) if "standin.py" in p.cmdline()[1])
        trainer.kill()
        wait_until(lambda: get_job(engine, job.uid).state.terminal)
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED
    assert [(each.epoch) for each in list_epochs(engine, job.id)] == [1, 2, 3, 4]
    assert fetch("SELECT epoch, token FROM training_epoch ORDER BY epoch") == [
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 2),
    ]
    assert broken_rules(engine, settings, job) == [] and processes_of(job) == []


def test_a_damaged_checkpoint_is_passed_by(
    engine: Engine,
    settings: Settings,
    submit_training: Submit,
    supervising: Any,
    processes_of: Callable[[Job], list[psutil.Process]],
    hold: Path,
    wait_until: Wait,
    fetch: Callable[[str], Any],
) -> None:
    job = submit_training(epochs=4, hold_at=3, hold=str(hold))
    with supervising():
        wait_until(lambda: len(fetch("SELECT 1 FROM checkpoint")) == 3)
        damaged = next(work_folder(settings, job.uid).glob("*/checkpoints/000003/tensors*"))
        damaged.write_bytes(b"torn")
        next(p for p in processes_of(job) if "standin.py" in p.cmdline()[1]).kill()
        wait_until(lambda: fetch("SELECT max(token), count(*) FROM training_epoch") == [(2, 3)])
        hold.write_text("go on")
    assert [(each.epoch) for each in list_epochs(engine, job.id)] == [1, 2, 3, 4]
    assert fetch("SELECT epoch FROM training_epoch WHERE token = 2 ORDER BY 1") == [(3,), (4,)]


def test_a_cancel_stops_every_process_within_seconds(
    engine: Engine,
    settings: Settings,
    submit_training: Submit,
    supervising: Any,
    processes_of: Callable[[Job], list[psutil.Process]],
    hold: Path,
    wait_until: Wait,
) -> None:
    job = submit_training(hold_at=1, hold=str(hold), grandchild=True)
    with supervising() as supervisor:
        wait_until(lambda: len(list_epochs(engine, job.id)) == 1)
        began = time.monotonic()
        cancel_job(engine, job.uid)
        wait_until(supervisor.ended)
    assert time.monotonic() - began < 5
    assert get_job(engine, job.uid).state is JobState.CANCELLED
    assert (processes_of(job), work_folder(settings, job.uid).exists()) == ([], False)
    assert broken_rules(engine, settings, job) == []


def test_a_cancel_keeps_the_best_so_far_only_if_asked(
    engine: Engine,
    settings: Settings,
    submit_training: Submit,
    supervising: Any,
    hold: Path,
    wait_until: Wait,
    fetch: Callable[[str], Any],
) -> None:
    job = submit_training({"keep_best": True}, hold_at=1, hold=str(hold))
    with supervising():
        wait_until(lambda: len(fetch("SELECT 1 FROM checkpoint")) == 1)
        cancel_job(engine, job.uid)
    assert get_job(engine, job.uid).state is JobState.CANCELLED
    kept = work_folder(settings, job.uid) / "1" / "checkpoints"
    assert sorted(path.name for path in kept.iterdir()) == ["000001", "000099"]


def test_a_supervisor_that_must_stop_gives_the_training_back_with_a_checkpoint(
    engine: Engine,
    context: TrainerContext,
    submit_training: Submit,
    supervising: Any,
    hold: Path,
    wait_until: Wait,
    fetch: Callable[[str], Any],
) -> None:
    job = submit_training(epochs=1, hold_at=1, hold=str(hold))
    with supervising() as supervisor:
        uid = supervisor.context.worker_uid
        beat_worker(engine, uid, host="h", pid=1, device="cpu", roots=[], queue="train")
        wait_until(lambda: len(fetch("SELECT 1 FROM checkpoint")) == 1)
        start_draining(engine, uid)
    assert fetch("SELECT state, idle_attempts FROM training") == [("pending", 0)]
    assert fetch("SELECT path FROM checkpoint ORDER BY seq") == [
        ("checkpoints/000001",),
        ("checkpoints/000099",),
    ]
    train(context)
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED


def test_a_silent_trainer_is_killed_and_after_some_attempts_its_job_fails(
    engine: Engine, submit_training: Submit, supervising: Any, fetch: Callable[[str], Any]
) -> None:
    job = submit_training(ending="silence", checkpoints=False)
    with supervising(train_silence_seconds=0.5, train_attempts=2):
        pass
    ended = get_job(engine, job.uid)
    assert ended.error and (ended.error.slug, ended.error.title) == (
        "no-progress",
        "The training hangs",
    )
    assert fetch("SELECT attempts FROM training") == [(2,)]


def test_a_supervisor_that_gets_no_connection_leaves_the_work_for_later(
    engine: Engine, context: TrainerContext, submit_training: Submit
) -> None:
    job = submit_training()
    narrow = create_engine(engine.url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with narrow.connect():
        assert train(replace(context, engine=narrow)) == 0
    narrow.dispose()

    assert get_job(engine, job.uid).state is JobState.QUEUED
