"""int8 jobs, with real networks whose weights are random."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import safetensors.torch
import torch
from sqlalchemy import Engine, text

from imgq_db.artifacts import import_artifact
from imgq_db.cancelling import cancel_job
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.quantisations import Agreement, sample_images
from imgq_db.results import Result, ResultFilter, stream_results
from imgq_db.settings import Settings
from imgq_trainer import measuring
from imgq_trainer.architectures import build_network
from imgq_trainer.artifacts import Architecture, Model, Preprocessing, Weights, write_artifact
from imgq_trainer.engines import INT8, EngineName, precisions
from imgq_trainer.ranges import Ranges
from imgq_workers import models as worker_models
from imgq_workers import quantised
from imgq_workers.context import WorkerContext
from imgq_workers.loop import work
from imgq_workers.models import LoadedModels
from imgq_workers.trails import Doing, read_trail

LABELS = ("ant", "bee", "cat", "dog")
SIZE, PICTURES = 64, 40
Submit = Callable[..., Job]
Fetch = Callable[[str], list[tuple[object, ...]]]
Make = Callable[..., WorkerContext]

pytestmark = pytest.mark.skipif(
    INT8 not in precisions("cpu", EngineName.OPENVINO), reason="this processor has no VNNI"
)


@pytest.fixture
def models() -> None:
    """The real models."""


@pytest.fixture
def import_model(engine: Engine, settings: Settings, tmp_path: Path) -> Callable[[str], None]:
    """Import a small network under its architecture's name."""

    def make(architecture: str) -> None:
        torch.manual_seed(5)
        named = Architecture("timm", architecture, {})
        state = build_network(named, len(LABELS)).state_dict()
        for name in [name for name in state if "fc.weight" in name]:
            state[name] *= 40  # so that it is sure of some labels
        weights = safetensors.torch.save(state)
        model = Model(
            format="imgq-model/1",
            architecture=named,
            labels=LABELS,
            preprocessing=Preprocessing(SIZE, SIZE, "bilinear", (0.5,) * 3, (0.5,) * 3),
            weights=Weights("weights.safetensors", hashlib.sha256(weights).hexdigest()),
            temperature=1.0,
            metrics={},
            provenance={},
        )
        write_artifact(tmp_path / architecture, model, weights)
        import_artifact(engine, settings, architecture, tmp_path / architecture)

    return make


@pytest.fixture
def resnet(import_model: Callable[[str], None], paint: Callable[..., Path]) -> str:
    """A model of ReLU, and pictures for it."""
    import_model("test_resnet")
    for number in range(PICTURES):
        paint(f"{number:03}.png", (number * 37 % 256, number * 91 % 256, 255 - number * 6))
    return "test_resnet"


@pytest.fixture
def rows(engine: Engine) -> Callable[[Job], dict[str, Result]]:
    return lambda job: {
        result.path: result for result in stream_results(engine, job, ResultFilter())
    }


def never_measure(*_: object, **__: object) -> None:
    raise AssertionError("this worker measured again")


def recount(
    engine: Engine, job: Job, exact: dict[str, Result], fast: dict[str, Result]
) -> tuple[int, int, int, int]:
    """Count what a job's agreement says from two ledgers: the sample's odd half was compared."""
    names = [name.decode() for _, name in sample_images(engine, job.id, count=512)[1::2]]
    same = [name for name in names if exact[name].label == fast[name].label]
    sure = [name for name in names if (exact[name].confidence or 0) > 0.5]
    return len(names), len(same), len(sure), len(set(same) & set(sure))


def test_an_int8_job_says_truly_how_far_it_agrees_with_exact(
    engine: Engine,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    resnet: str,
    rows: Callable[[Job], dict[str, Result]],
) -> None:
    jobs = [submit(folder, model=resnet, precision=each) for each in ("exact", "int8", "auto")]
    work(context)

    exact, fast, auto = (get_job(engine, job.uid) for job in jobs)
    assert {job.state for job in (exact, fast, auto)} == {JobState.SUCCEEDED}
    assert (fast.precision, exact.agreement, auto.agreement) == ("int8", None, None)
    assert auto.precision in ("bf16", "exact")
    found = fast.agreement or Agreement(0, 0, 0, 0, None)
    assert (found.pictures, found.same, found.sure, found.same_sure) == recount(
        engine, fast, rows(exact), rows(fast)
    )
    assert found.pictures == PICTURES // 2 and found.sure > 0
    assert 0 < (found.score_difference or 0) < 0.2


def test_an_unchanged_folder_is_not_compared_by_computing_again(
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    resnet: str,
) -> None:
    first = submit(folder, model=resnet, precision="int8")
    work(context)
    monkeypatch.setattr(LoadedModels, "load", never_measure)
    second = submit(folder, model=resnet, precision="int8")
    work(context)

    one, other = (get_job(engine, job.uid) for job in (first, second))
    assert (one.progress.cached, other.progress.cached) == (0, PICTURES)
    assert one.agreement is not None and other.agreement == one.agreement


def test_the_exact_model_is_marked_while_it_loads_for_the_comparison(
    monkeypatch: pytest.MonkeyPatch,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    resnet: str,
) -> None:
    load, marked = LoadedModels.load, list[tuple[int, Doing]]()

    def look(models: LoadedModels, version_id: int, precision: str) -> Any:
        trail = read_trail(context.breadcrumbs._memory[:])
        assert trail is not None
        marked.extend((each.job_id, each.doing) for each in trail.chores)
        return load(models, version_id, precision)

    monkeypatch.setattr(LoadedModels, "load", look)
    job = submit(folder, model=resnet, precision="int8")
    work(context)
    assert marked == [(job.id, Doing.LOADING)]


def test_a_folder_that_is_hardly_listed_is_measured_later(
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    resnet: str,
    fetch: Fetch,
) -> None:
    samples = iter([8, 20, 512])  # too few, too few that can be read, and all
    for number in range(0, PICTURES, 2):
        (folder / f"{number:03}.png").write_bytes(b"no picture")
    monkeypatch.setattr(quantised, "is_listed", lambda *_: False)
    monkeypatch.setattr(
        quantised,
        "sample_images",
        lambda engine, job, count: sample_images(engine, job, count=count)[: next(samples, count)],
    )
    job = submit(folder, model=resnet, precision="int8")
    work(context)

    assert get_job(engine, job.uid).state == JobState.SUCCEEDED
    assert fetch("SELECT sum(errors) FROM chunk") == [(0,)]
    assert fetch("SELECT pictures FROM quantisation") == [(PICTURES // 2,)]


def test_a_job_that_is_cancelled_while_it_is_measured_ends(
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    resnet: str,
    fetch: Fetch,
) -> None:
    measure = measuring.measure_ranges

    def cancel(*arguments: Any, **options: Any) -> Ranges:
        cancel_job(engine, job.uid)
        while not options["stop"]():
            Event().wait(0.01)
        return measure(*arguments, **options)

    monkeypatch.setattr(measuring, "measure_ranges", cancel)
    job = submit(folder, model=resnet, precision="int8")
    work(context)
    assert get_job(engine, job.uid).state == JobState.CANCELLED
    assert fetch("SELECT count(*) FROM quantisation") == [(0,)]


def test_a_second_worker_computes_the_same_without_measuring(
    monkeypatch: pytest.MonkeyPatch,
    context: WorkerContext,
    make_worker: Make,
    submit: Submit,
    folder: Path,
    resnet: str,
    fetch: Fetch,
) -> None:
    first = submit(folder, model=resnet, precision="int8", cache=False)
    work(context)
    monkeypatch.setattr(measuring, "measure_ranges", never_measure)
    second = submit(folder, model=resnet, precision="int8", cache=False)
    work(make_worker())

    scores = "SELECT top_labels, top_scores FROM prediction WHERE job_id = {} ORDER BY image"
    assert fetch(scores.format(first.id)) == fetch(scores.format(second.id))
    assert fetch("SELECT model_version_id, pictures FROM quantisation") == [
        (first.model_version_id, PICTURES // 2)
    ]


def test_a_worker_that_dies_before_its_ranges_are_kept_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    resnet: str,
    fetch: Fetch,
) -> None:
    def die(*_: object, **__: object) -> bytes:
        raise SystemExit

    job = submit(folder, model=resnet, precision="int8")
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(worker_models, "keep_ranges", die)
        work(context)
    assert fetch("SELECT count(*) FROM quantisation") == [(0,)]

    with engine.begin() as connection:
        connection.execute(text("UPDATE chunk SET state = 'pending', owner = NULL"))
    work(context)
    assert get_job(engine, job.uid).progress.ok == PICTURES
    assert fetch("SELECT count(*) FROM quantisation") == [(1,)]


def test_a_network_that_int8_is_nothing_for_ends_its_job_in_a_sentence(
    engine: Engine,
    context: WorkerContext,
    submit: Submit,
    folder: Path,
    resnet: str,
    import_model: Callable[[str], None],
) -> None:
    import_model("test_efficientnet")
    jobs = [submit(folder, model=name, precision="int8") for name in ("test_efficientnet", resnet)]
    work(context)

    refused, fine = (get_job(engine, job.uid) for job in jobs)
    assert (refused.state, fine.state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert refused.error is not None and refused.error.slug == "int8-refused"
    assert refused.error.detail.startswith("test_efficientnet:1: int8 is offered for networks")
    assert refused.error.hint == "Submit the folder again with --precision auto."


def test_a_dry_run_in_int8_compares_nothing(
    engine: Engine, context: WorkerContext, submit: Submit, folder: Path, resnet: str
) -> None:
    job = submit(folder, model=resnet, precision="int8", dry_run=True)
    work(context)
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.agreement) == (JobState.SUCCEEDED, None)
