"""Eager Celery over a real database: task bodies run here, bells ring in this process."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from celery import Celery
from PIL import Image
from sqlalchemy import Engine, text

from imgq_db.failures import LONGEST_PAUSE_SECONDS
from imgq_db.jobs import Job, NewJob, create_job
from imgq_db.models import NewVersion, complete_builtin
from imgq_db.options import ClassifyOptions
from imgq_db.queue import TASKS
from imgq_db.results import ResultFilter, stream_results
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri
from imgq_trainer.artifacts import Preprocessing
from imgq_workers.context import WorkerContext, make_context, using_context
from imgq_workers.loop import work
from imgq_workers.setbacks import Setbacks

COLOURS = ("red", "green", "blue")
Submit = Callable[..., Job]
Make = Callable[..., WorkerContext]


class ColourClassifier:
    """Stands in for the real classifier: tells the strongest colour of a picture."""

    labels = COLOURS
    preprocessing = Preprocessing(
        resize=16, crop=16, interpolation="bilinear", mean=(0.0,) * 3, std=(1.0,) * 3
    )
    precision, device, engine = "exact", "cpu", "colours/exact"
    threads, tile = 1, 1
    decode_ahead = None

    def probabilities(self, batch: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return shares of red, green and blue: (B, H, W, 3) of uint8 -> (B, 3)."""
        grown = np.exp(np.asarray(batch, np.float32).mean(axis=(1, 2)) / 25)
        shares: npt.NDArray[np.float32] = grown / grown.sum(axis=1, keepdims=True)
        return shares


class FixedModels:
    """Stands in for LoadedModels."""

    precisions = ("exact",)

    def get(self, version_id: int, precision: str) -> ColourClassifier:
        return ColourClassifier()


@pytest.fixture
def models(engine: Engine) -> object:
    """What the worker classifies with; None for the real thing."""
    complete_builtin(engine, NewVersion("0" * 64, "colours", COLOURS, {}, {}))
    return FixedModels()


@pytest.fixture
def eager_app() -> Iterator[Celery]:
    from imgq_workers import tasks

    app = Celery("eager", include=[tasks.__name__])
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    app.set_current()
    app.finalize()
    yield app
    app.close()


@pytest.fixture
def make_worker(settings: Settings, engine: Engine, models: object) -> Make:
    """Another worker, whose bells nobody hears; keywords change its settings."""

    def make(**changes: object) -> WorkerContext:
        context = make_context(
            settings.model_copy(update=changes), engine=engine, ring=lambda queue: True
        )
        return replace(context, models=models) if models else context  # type: ignore[arg-type]

    return make


@pytest.fixture
def work_on(move_clock: Callable[[float], None]) -> Callable[..., int]:
    """Work so often, each time when every pause after a failure is over; return what is done."""

    def make(context: WorkerContext, times: int = 3) -> int:
        done = 0
        for _ in range(times):
            done += work(replace(context, setbacks=Setbacks()))
            move_clock(LONGEST_PAUSE_SECONDS)
        return done

    return make


@pytest.fixture
def context(eager_app: Celery, make_worker: Make) -> Iterator[WorkerContext]:
    """A worker in this process, whose bells nobody hears: tests ring by hand."""
    with using_context(make_worker(loop_seconds=60)) as made:
        yield made


@pytest.fixture
def ring(eager_app: Celery, context: WorkerContext) -> Callable[[str], None]:
    """Ring a bell and return when the task that it woke has ended."""
    return lambda queue: eager_app.signature(TASKS[queue]).apply_async()


@pytest.fixture
def submit(engine: Engine, settings: Settings) -> Submit:
    def make(folder: Path, *, model: str = "imagenet", **options: object) -> Job:
        chosen = ClassifyOptions(**options)  # type: ignore[arg-type]
        return create_job(engine, settings, NewJob(folder_uri(folder), model, chosen))

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for pictures."""
    made = tmp_path / "pictures"
    made.mkdir()
    return made


@pytest.fixture
def paint(folder: Path) -> Callable[..., Path]:
    """Paint a picture of one colour; the name says the format."""

    def make(name: str, colour: str | tuple[int, int, int] = "red") -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), colour).save(path)
        return path

    return make


@pytest.fixture
def paint_many(folder: Path, paint: Callable[..., Path]) -> Callable[[int], list[str]]:
    """Fill the folder with so many pictures; return their names in order."""

    def make(number: int) -> list[str]:
        content = paint("0000.png").read_bytes()
        names = [f"{each:04}.png" for each in range(number)]
        for name in names:
            (folder / name).write_bytes(content)
        return names

    return make


@pytest.fixture
def outcomes(engine: Engine) -> Callable[[Job], dict[str, str]]:
    """Tell of each image its label, or its status and error code."""

    def read(job: Job) -> dict[str, str]:
        return {
            result.path: result.label or f"{result.status.value} {result.error_code}"
            for result in stream_results(engine, job, ResultFilter())
        }

    return read


@pytest.fixture
def fetch(engine: Engine) -> Callable[[str], Sequence[tuple[object, ...]]]:
    """Read rows behind imgq's back."""

    def query(statement: str) -> Sequence[tuple[object, ...]]:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    return query
