"""Whoever lists a folder dies at each commit point: each file is in one chunk, once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from imgq_db.jobs import Job, NewJob, create_job, get_job
from imgq_db.manifests import unpack_names
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri

from .standing_by import make_lister

FILES = 45


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(FILES):
        file = tmp_path / "pictures" / f"{number % 3}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "pictures"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"chunk_size": 10})


def listed_names(engine: Engine, job: Job) -> list[bytes]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT manifest FROM chunk WHERE job_id = :id ORDER BY first_image"),
            {"id": job.id},
        )
        return [name for row in rows for name in unpack_names(row.manifest)]


@pytest.mark.parametrize(
    "fault",
    [
        "listing.before_insert",
        "listing.before_insert@nth=2",
        "listing.between_inserts",
        "listing.between_inserts@nth=3",
        "listing.before_done",
    ],
)
def test_each_file_is_listed_once_though_the_first_lister_died(
    engine: Engine,
    settings: Settings,
    folder: Path,
    move_clock: Callable[[float], None],
    die_at: Callable[..., None],
    broken_rules: Callable[[Job], list[str]],
    fault: str,
) -> None:
    job = create_job(engine, settings, NewJob(folder_uri(folder)))
    die_at(fault, "list_folder")
    before = listed_names(engine, job)
    assert get_job(engine, job.uid).progress.total is None and broken_rules(job) == []
    move_clock(settings.lease_seconds + 1)
    lister = make_lister(engine, settings)
    while lister.turn():
        pass
    names = listed_names(engine, job)
    assert names[: len(before)] == before
    assert names == sorted(f"{n % 3}/{n}.jpg".encode() for n in range(FILES))
    assert get_job(engine, job.uid).progress.total == FILES and broken_rules(job) == []
