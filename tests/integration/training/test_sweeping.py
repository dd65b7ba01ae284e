"""What no row names goes from the data directory, once nobody has touched it for long."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.jobs import Job
from imgq_db.settings import Settings
from imgq_db.training.keeping import keep_folder, remove_if, touch
from imgq_db.training.sweeping import sweep_if_due, sweep_store
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.loop import train

Submit = Callable[..., Job]
Execute = Callable[[str], None]


def files(settings: Settings) -> set[str]:
    kept = (path for path in settings.data_dir.rglob("*") if path.is_file())
    return {path.relative_to(settings.data_dir).as_posix() for path in kept} - {".swept"}


def age(settings: Settings) -> None:
    """Let everything in the data directory be a week old."""
    for path in settings.data_dir.rglob("*"):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 7 * 86_400))


@pytest.fixture
def trained(context: TrainerContext, submit_training: Submit) -> Job:
    job = submit_training()
    train(context)
    return job


def test_what_a_version_needs_stays_however_old(
    engine: Engine, settings: Settings, trained: Job
) -> None:
    before = files(settings)
    age(settings)

    assert sweep_store(engine, settings) == 0
    assert files(settings) == before
    assert any(name.startswith("pictures/") for name in before)


def test_what_nobody_names_goes_when_it_is_old(
    engine: Engine, settings: Settings, trained: Job, execute: Execute
) -> None:
    for statement in (
        "DELETE FROM model_version WHERE source = 'train'",
        "DELETE FROM job",
        "UPDATE dataset SET created_at = created_at - interval '7 days'",
    ):
        execute(statement)
    young = files(settings)
    assert sweep_store(engine, settings) == 0 and files(settings) == young

    age(settings)
    assert sweep_store(engine, settings) > 0
    left = {name.split("/")[0] for name in files(settings)}
    assert left.isdisjoint({"artifacts", "datasets", "reports", "pictures"})


def test_a_copy_that_a_killed_process_began_goes(engine: Engine, settings: Settings) -> None:
    begun = settings.data_dir / "reports" / ".incoming-x"
    begun.mkdir(parents=True)
    assert sweep_store(engine, settings) == 0 and begun.exists()

    age(settings)
    assert sweep_store(engine, settings) == 1 and not begun.exists()


def test_what_is_about_to_be_registered_is_young_again(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("x")
    target = settings.data_dir / "reports" / "ab"
    keep_folder(tmp_path / "report", target)
    age(settings)
    keep_folder(tmp_path / "report", target)

    assert sweep_store(engine, settings) == 0 and (target / "report.html").exists()


def test_what_is_touched_while_it_is_taken_away_is_put_back(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()

    assert not remove_if(kept, lambda aside: not touch(aside))
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert not remove_if(tmp_path / "gone", lambda aside: True)
    assert remove_if(kept, lambda aside: aside.is_dir()) and not list(tmp_path.iterdir())


def test_the_data_directory_is_looked_through_now_and_then(
    engine: Engine, settings: Settings
) -> None:
    begun = settings.data_dir / "reports" / ".incoming-x"
    begun.mkdir(parents=True)
    age(settings)
    assert (sweep_if_due(engine, settings), sweep_if_due(engine, settings)) == (1, 0)

    begun.mkdir()
    age(settings)
    assert sweep_if_due(engine, settings) == 1
