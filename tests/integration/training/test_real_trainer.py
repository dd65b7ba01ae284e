"""The trainer itself under a supervisor: what it says and writes is what the registry takes."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.integration.training.striped import paint_striped

from imgq_db.jobs import Job, JobState, get_job
from imgq_db.models import resolve_model
from imgq_db.settings import Settings
from imgq_db.training.datasets import get_dataset
from imgq_db.training.lineage import list_test_pictures, trained_on
from imgq_db.training.reports import report_of_job, report_of_version
from imgq_db.verifying import verify_job
from imgq_trainer.datasets.snapshots import read_dataset
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.loop import train


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty pictures of two colours, each a little other than the next."""
    return paint_striped(tmp_path / "birds", side=64)


def test_a_real_training_and_an_evaluation_end_in_the_registry(
    engine: Engine,
    settings: Settings,
    context: TrainerContext,
    submit_training: Callable[..., Job],
    submit_evaluation: Callable[[str], Job],
) -> None:
    real = replace(context, command=(sys.executable, "-m", "imgq_trainer"))
    job = submit_training({"preset": "fast"})
    train(real)
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.error) == (JobState.SUCCEEDED, None)
    version = resolve_model(engine, "birds")
    assert version.labels == ("jay", "wren") and version.parent == "imagenet:1"
    assert (report_of_version(settings, version) / "report.html").is_file()
    evaluation = submit_evaluation("birds")
    train(real)
    judged = get_job(engine, evaluation.uid)
    assert (judged.state, judged.error) == (JobState.SUCCEEDED, None)
    assert (report_of_job(engine, settings, evaluation.uid) / "report.json").is_file()
    assert judged.result and " were learned from" in judged.result["verdict"][0]
    for each in (job, evaluation):
        checks = verify_job(engine, each.uid, settings=settings)
        assert [check.rule for check in checks if not check.holds] == []
    pictures = list_test_pictures(settings, version)
    assert pictures and all(each.file for each in pictures)
    learnt = trained_on(engine, settings, version)
    assert learnt.complete and not learnt.digests & {each.digest for each in pictures}
    assert version.dataset is not None
    kept = get_dataset(engine, version.dataset)
    snapshot = read_dataset(settings.data_dir / "datasets" / version.dataset)
    assert kept and (kept.digest, kept.test_digest) == (snapshot.digest, snapshot.test_digest)
