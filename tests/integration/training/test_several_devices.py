"""One training in two real processes under a supervisor."""

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine
from tests.integration.training.striped import paint_striped

from imgq_db.jobs import Job, JobState, get_job
from imgq_db.models import resolve_model
from imgq_db.settings import Settings
from imgq_db.training.progress import list_epochs
from imgq_db.training.reports import report_of_version
from imgq_db.verifying import verify_job
from imgq_db.workers import list_workers
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.guard import AUTOGROUP, NICENESS
from imgq_workers.training.loop import train

Wait = Callable[[Callable[[], bool]], None]
SMALL = {
    "scratch": {"width": 8, "blocks": 0, "batch_size": 8, "learning_rate": 0.01},
    "checkpoints": {"epoch_seconds": 0.0},
    "refit": "no",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty small pictures of two colours, each a little other than the next."""
    return paint_striped(tmp_path / "birds", side=32)


def test_two_processes_train_a_model_that_is_registered(
    engine: Engine,
    settings: Settings,
    context: TrainerContext,
    submit_training: Callable[..., Job],
) -> None:
    real = replace(
        context,
        command=(sys.executable, "-m", "imgq_trainer"),
        settings=context.settings.model_copy(update={"train_devices": 2, "torch_threads": 2}),
    )
    job = submit_training({"init": "scratch", "epochs": 4}, **SMALL)
    train(real)

    ended = get_job(engine, job.uid)
    assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
    report = report_of_version(settings, resolve_model(engine, "birds")) / "report.json"
    assert json.loads(report.read_bytes())["settings"]["processes"] == 2
    checks = verify_job(engine, job.uid, settings=settings)
    assert [check.rule for check in checks if not check.holds] == []


@pytest.mark.timeout(300)  # it starts two trainings in two processes each
def test_no_process_outlives_its_supervisor_and_another_goes_on_until_it_is_asked_to_stop(
    engine: Engine,
    processes: Any,
    submit_training: Callable[..., Job],
    processes_of: Callable[[Job], list[psutil.Process]],
    wait_until: Wait,
    fetch: Callable[[str], Any],
) -> None:
    several = {"train_devices": 2, "device": "cpu", "train_stop_seconds": 60}
    processes.start("reconciler")
    supervisor = processes.start("trainer", **several)
    job = submit_training({"init": "scratch", "epochs": 5000}, **SMALL)
    wait_until(lambda: len(list_epochs(engine, job.id)) > 1)
    found = processes_of(job)
    ranks = sorted(each.environ().get("RANK", "") for each in found)
    assert ranks == ["", "", "0", "1"]  # the guard and the launcher have none
    assert {each.nice() for each in found} == {psutil.Process().nice() + NICENESS}
    seats = [each for each in found if "RANK" in each.environ()]
    groups = [Path(f"/proc/{each.pid}", AUTOGROUP.name) for each in seats]
    said = {group.read_text().split()[-1] for group in groups if group.exists()}
    assert said <= {str(found[0].nice())}  # each session yields as its processes do
    processes.kill(supervisor)
    wait_until(lambda: processes_of(job) == [])
    before = len(list_epochs(engine, job.id))

    supervisor = processes.start("trainer", **several)
    wait_until(lambda: len(list_epochs(engine, job.id)) > before)
    assert {worker.device for worker in list_workers(engine)} == {"cpu"}
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(100) == 0
    assert fetch("SELECT state, idle_attempts FROM training") == [("pending", 0)]
    assert processes_of(job) == []
