"""Serving models: the built-in one, imported ones, and ones that cannot be loaded."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from sqlalchemy import Engine

from imgq_db.artifacts import artifact_folder, import_artifact
from imgq_db.errors import ArtifactInvalid
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.models import ModelVersion, list_models, resolve_model
from imgq_db.settings import Settings
from imgq_db.verifying import verify_job
from imgq_trainer.architectures import build_network
from imgq_trainer.artifacts import Architecture, Model, Preprocessing, Weights, write_artifact
from imgq_workers.context import WorkerContext
from imgq_workers.loop import work
from imgq_workers.models import ensure_artifact

Submit = Callable[..., Job]
LABELS = ("ant", "bee", "cat")


@pytest.fixture
def models() -> None:
    """The real models."""


@pytest.fixture
def import_model(engine: Engine, settings: Settings, tmp_path: Path) -> Callable[..., ModelVersion]:
    """Export a small network with random weights and import it."""

    def make(name: str, *, seed: int = 0, weights: bytes | None = None) -> ModelVersion:
        torch.manual_seed(seed)
        architecture = Architecture("timm", "test_resnet", {})
        if weights is None:
            network = build_network(architecture, len(LABELS))
            weights = safetensors.torch.save(network.state_dict())
        model = Model(
            format="imgq-model/1",
            architecture=architecture,
            labels=LABELS,
            preprocessing=Preprocessing(
                resize=64, crop=64, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
            ),
            weights=Weights("weights.safetensors", hashlib.sha256(weights).hexdigest()),
            temperature=1.0,
            metrics={},
            provenance={},
        )
        folder = tmp_path / f"export-{name}-{seed}"
        write_artifact(folder, model, weights)
        return import_artifact(engine, settings, name, folder)

    return make


def assert_unloadable(engine: Engine, job: Job) -> None:
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.done) == (JobState.FAILED, 0)
    assert ended.error is not None and ended.error.slug == "model-unloadable"
    assert ended.error.hint
    assert all(check.holds for check in verify_job(engine, job.uid))


def test_an_imported_model_serves_with_its_own_labels(
    engine: Engine,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    paint_many: Callable[[int], list[str]],
    import_model: Callable[..., ModelVersion],
    outcomes: Callable[[Job], dict[str, str]],
) -> None:
    paint_many(3)
    import_model("insects")
    job = submit(folder, model="insects", top_k=9)
    work(context)
    assert set(outcomes(job).values()) <= set(LABELS)
    assert get_job(engine, job.uid).progress.ok == 3


def test_a_worker_switches_between_models_as_jobs_ask(
    engine: Engine,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    paint_many: Callable[[int], list[str]],
    import_model: Callable[..., ModelVersion],
    fetch: Callable[[str], list[tuple[list[float]]]],
) -> None:
    paint_many(2)
    refs = [import_model("insects", seed=seed).ref for seed in (1, 2)] * 2
    assert refs == ["insects:1", "insects:2"] * 2
    jobs = [submit(folder, model=ref) for ref in refs]
    work(context)
    scores = [
        fetch(f"SELECT top_scores FROM prediction WHERE job_id = {job.id} ORDER BY image")
        for job in jobs
    ]
    assert scores[0] == scores[2] != scores[1] == scores[3]
    assert {get_job(engine, job.uid).state for job in jobs} == {JobState.SUCCEEDED}


@pytest.mark.parametrize("damage", ["gone", "no weights", "cut short", "other labels"])
def test_a_model_whose_files_are_damaged_fails_its_job_and_no_other(
    damage: str,
    engine: Engine,
    settings: Settings,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    paint_many: Callable[[int], list[str]],
    import_model: Callable[..., ModelVersion],
    work_on: Callable[..., int],
) -> None:
    paint_many(2)
    broken, fine = import_model("insects", seed=1), import_model("insects", seed=2)
    stored = artifact_folder(settings, broken.digest or "")
    match damage:
        case "gone":
            shutil.rmtree(stored)
        case "no weights":
            (stored / "weights.safetensors").unlink()
        case "cut short":
            (stored / "weights.safetensors").write_bytes(b"\0" * 9)
        case _:
            text = (stored / "model.json").read_text()
            (stored / "model.json").write_text(text.replace("ant", "elk"))
    jobs = [submit(folder, model=version.ref) for version in (broken, fine)]
    work_on(context)
    assert_unloadable(engine, jobs[0])
    assert get_job(engine, jobs[1].uid).state is JobState.SUCCEEDED


@pytest.mark.parametrize("weights", [b"", b"no tensors at all", b"\xff" * 64])
def test_weights_that_are_none_are_not_imported(
    weights: bytes, engine: Engine, import_model: Callable[..., ModelVersion]
) -> None:
    with pytest.raises(ArtifactInvalid, match="no safetensors file"):
        import_model("insects", weights=weights)
    assert [version.name for version in list_models(engine)] == ["imagenet"]


def test_a_device_that_is_not_there_fails_the_job_with_its_name(
    engine: Engine,
    make_worker: Callable[..., WorkerContext],
    submit: Submit,
    folder: Path,
    paint_many: Callable[[int], list[str]],
    import_model: Callable[..., ModelVersion],
    work_on: Callable[..., int],
) -> None:
    paint_many(2)
    import_model("insects")
    job = submit(folder, model="insects")
    work_on(make_worker(device="cuda:99"))
    assert_unloadable(engine, job)
    assert "cuda:99" in str(get_job(engine, job.uid).error)


def test_the_built_in_models_files_are_written_once_and_mended(
    engine: Engine, settings: Settings
) -> None:
    version = resolve_model(engine, "imagenet")
    assert (version.digest, version.labels) == (None, ())
    folder = ensure_artifact(engine, settings, version)
    version = resolve_model(engine, "imagenet")
    assert (len(version.labels), folder.name) == (1000, version.digest)
    inode = folder.stat().st_ino
    assert ensure_artifact(engine, settings, version).stat().st_ino == inode
    (folder / "weights.safetensors").write_bytes(b"cut short")
    assert ensure_artifact(engine, settings, version) == folder
    assert (folder / "weights.safetensors").stat().st_size > 10 << 20
    assert [path.name for path in settings.data_dir.iterdir()] == ["artifacts"]
    assert resolve_model(engine, "imagenet") == version
