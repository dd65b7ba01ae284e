"""The REST shapes that the command line reads, as the server sends them."""

from typing import Any, Literal, NotRequired, TypedDict, cast

JobState = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})

Problem = dict[str, Any]


class Progress(TypedDict):
    """total is None until the source is listed."""

    total: int | None
    done: int
    ok: int
    failed: int
    skipped: int
    cached: int
    fraction: float | None
    images_per_second: float | None
    eta_seconds: float | None


class DryRunResult(TypedDict):
    """What a job would do; seen is the sum of the next four."""

    seen: int
    cached: int
    to_do: int
    failed: int
    skipped: int
    #: of one worker
    images_per_second: float | None
    workers: int | None
    eta_seconds: float | None


class Agreement(TypedDict):
    """An int8 job's labels beside those of exact arithmetic, on some of its own pictures."""

    pictures: int
    same: int
    sure: int
    same_sure: int
    score_difference: float | None


class TrainProgress(TypedDict):
    """Of a train or evaluate job. done, total: pictures of this stage, or of its epoch. epoch: the
    last one of this run that ended."""

    images: int | None
    stage: str | None
    done: int | None
    total: int | None
    run: int | None
    runs: int | None
    epoch: int | None
    epochs: int | None
    fraction: float | None
    eta_seconds: float | None
    train_loss: float | None
    val_loss: float | None
    macro_f1: float | None


class TrainResult(TypedDict):
    """What a train or evaluate job came to. model: the version, such as birds:3."""

    model: str
    metrics: dict[str, Any]
    verdict: list[str]


class Epoch(TypedDict):
    """One epoch of one run of a stage of a training."""

    stage: str
    run: int
    runs: int
    epoch: int
    epochs: int
    train_loss: float | None
    val_loss: float | None
    macro_f1: float | None
    learning_rate: float | None
    images_per_second: float | None
    ended_at: str


class LogLine(TypedDict):
    """One line of a training's log. level: info, warning or output."""

    level: str
    message: str
    said_at: str


class LogPage(TypedDict):
    """Lines of a log. next_cursor: gives what is said later, too; None at the end."""

    items: list[LogLine]
    next_cursor: str | None


class Job(TypedDict):
    """One job; times are RFC 3339 in UTC."""

    id: str
    kind: str
    state: JobState
    name: str | None
    model: str
    tags: dict[str, str]
    priority: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    #: of a classify job; of the others see train_progress
    progress: Progress
    queue_position: int | None
    error: Problem | None
    links: dict[str, str]
    source: NotRequired[dict[str, str]]
    options: NotRequired[dict[str, Any]]
    precision: NotRequired[str | None]
    retry_of: NotRequired[str | None]
    #: of a dry run, once every file was looked at; of the other kinds see train_result
    result: NotRequired[DryRunResult | None]
    #: of an int8 job, after its first pictures
    agreement: NotRequired[Agreement | None]
    #: A word of the server about an accepted job, such as that the queue is down.
    notice: NotRequired[str | None]


def is_dry_run(job: Job) -> bool:
    """Tell whether a job labels nothing and only says what it would do."""
    return bool(job.get("options", {}).get("dry_run"))


def trains(job: Job) -> bool:
    """Tell whether a job trains or evaluates a model, and so labels no pictures."""
    return job["kind"] in ("train", "evaluate")


def train_progress(job: Job) -> TrainProgress:
    """Return how far a train or evaluate job is."""
    return cast(TrainProgress, job["progress"])


def train_result(job: Job) -> TrainResult | None:
    """Return what a train or evaluate job came to, once it has succeeded."""
    return cast("TrainResult | None", job.get("result"))


class Guess(TypedDict):
    """One of the top labels of a picture."""

    label: str
    confidence: float


class ResultError(TypedDict):
    """Why a picture has no label."""

    code: str
    detail: str | None


class Result(TypedDict):
    """The ledger row of one file."""

    path: str
    status: Literal["ok", "failed", "skipped"]
    label: str | None
    confidence: float | None
    top_k: list[Guess]
    digest: str | None
    cached: bool
    model: str
    precision: str | None
    error: ResultError | None


class LabelCount(TypedDict):
    """How many pictures have a label."""

    label: str
    count: int


class Summary(TypedDict):
    """A job's results in numbers; errors and skipped are by code."""

    labels: list[LabelCount]
    unsure: int
    errors: dict[str, int]
    skipped: dict[str, int]
    histogram: list[int]


class Worker(TypedDict):
    """One worker, as it last showed itself."""

    id: NotRequired[str]
    host: str
    pid: NotRequired[int]
    device: str
    queue: NotRequired[str]
    state: str
    job: str | None
    images_per_second: float | None
    started_at: NotRequired[str]
    seen_at: str
    roots: NotRequired[list[str]]
    precisions: NotRequired[list[str] | None]
