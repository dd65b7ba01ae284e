"""Deleting versions: only what nothing needs, and never its number again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from imgq_db import deleting_versions
from imgq_db.artifacts import artifact_folder
from imgq_db.deleting_versions import delete_version
from imgq_db.errors import ModelNotFound, VersionInUse
from imgq_db.jobs import Job
from imgq_db.models import (
    ModelVersion,
    NewVersion,
    Origin,
    get_model,
    get_version,
    insert_version,
    register_version,
    resolve_model,
)
from imgq_db.promotions import promote
from imgq_db.settings import Settings
from imgq_db.training.keeping import kept_report

NEW = NewVersion("1" * 64, "resnet18", ("a", "b"), {}, {})

Register = Callable[..., ModelVersion]


@pytest.fixture
def register(engine: Engine, settings: Settings) -> Register:
    """Register a version whose files are in the data directory."""

    def make(digest: str = "1", name: str = "birds", **origin: object) -> ModelVersion:
        new = replace(NEW, digest=digest * 64)
        with engine.begin() as connection:
            chosen = Origin(**origin)  # type: ignore[arg-type]
            version_id, _ = insert_version(connection, name, new, chosen)
        artifact_folder(settings, new.digest).mkdir(parents=True, exist_ok=True)
        return get_version(engine, version_id)

    return make


def refusal(engine: Engine, settings: Settings, version: ModelVersion) -> str:
    with pytest.raises(VersionInUse) as refused:
        delete_version(engine, settings, version)
    assert get_version(engine, version.id) == version
    return "\n".join(refused.value.reasons)


def test_a_deleted_version_is_gone_with_its_files(
    engine: Engine, settings: Settings, register: Register
) -> None:
    version = register(report="r")
    kept_report(settings, "r").mkdir(parents=True)
    delete_version(engine, settings, version)
    with pytest.raises(ModelNotFound):
        get_model(engine, "birds")
    left = [path for path in settings.data_dir.rglob("*") if path.parent != settings.data_dir]
    assert left == []


def test_its_number_is_never_given_again(
    engine: Engine, settings: Settings, register: Register
) -> None:
    delete_version(engine, settings, register("1"))
    assert register("2").ref == "birds:2"
    delete_version(engine, settings, resolve_model(engine, "birds:2"))
    assert register_version(engine, "birds", NEW).ref == "birds:3"


def test_files_that_another_version_has_too_stay(
    engine: Engine, settings: Settings, register: Register
) -> None:
    version = register()
    register(name="fish")
    delete_version(engine, settings, version)
    assert artifact_folder(settings, NEW.digest).is_dir()


def test_the_built_in_version_stays(engine: Engine, settings: Settings) -> None:
    version = resolve_model(engine, "imagenet")
    assert refusal(engine, settings, version) == "It comes with imgq."


def test_a_version_with_an_alias_stays(
    engine: Engine, settings: Settings, register: Register
) -> None:
    promote(engine, register(), "champion", force=False)
    said = refusal(engine, settings, resolve_model(engine, "birds"))
    assert said == "The alias champion means it: promote another version first."


def test_a_version_that_another_goes_back_to_stays(
    engine: Engine, settings: Settings, register: Register
) -> None:
    parent = register("1")
    register("2", parent_id=parent.id, source="train")
    assert refusal(engine, settings, parent).startswith("birds:2 was trained on from it")


def test_a_version_whose_labels_a_job_needs_stays_until_the_job_is_gone(
    engine: Engine, settings: Settings, register: Register, make_job: Callable[..., Job]
) -> None:
    version = register()
    job = make_job(model="birds")
    assert f"The job {job.uid} names it" in refusal(engine, settings, version)
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET deleted_at = imgq_now()"))
    assert refusal(engine, settings, version).startswith("1 deleted job is still being cleared")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM job"))
    delete_version(engine, settings, version)


def test_a_version_stays_while_its_training_is_shown(
    engine: Engine, settings: Settings, register: Register, make_job: Callable[..., Job]
) -> None:
    job = make_job()
    version = register(job=job.uid, source="train")
    assert str(job.uid) in refusal(engine, settings, version)
    other: UUID = uuid4()
    delete_version(engine, settings, register("2", job=other, source="train"))


def test_files_are_put_back_where_the_database_cannot_be_asked(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False])  # and then there is no more answer
    monkeypatch.setattr(deleting_versions, "_is_used", lambda *_: next(answers))
    folder = tmp_path / "artifacts" / "ab"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    with pytest.raises(StopIteration):
        deleting_versions._clear(engine, folder, "SELECT 1", "ab")
    assert [path.name for path in folder.parent.iterdir()] == ["ab"]
    assert (folder / "model.json").read_text() == "{}"


def test_several_reasons_of_a_kind_are_told_as_several(
    engine: Engine, settings: Settings, register: Register, make_job: Callable[..., Job]
) -> None:
    version = register("1")
    register("2", parent_id=version.id, source="train")
    register("3", parent_id=version.id, source="train")
    _, second, third, newest = (make_job(model="birds:1").uid for _ in range(4))
    assert refusal(engine, settings, version).splitlines() == [
        "birds:2 and birds:3 were trained on from it, and are traced back to it.",
        f"The jobs {newest}, {third}, {second} and 1 more name it and take their labels from it:"
        " imgq delete JOB, for each.",
    ]
