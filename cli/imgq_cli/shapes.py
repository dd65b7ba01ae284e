"""The REST shapes that the command line reads, as the server sends them."""

from typing import Any, Literal, NotRequired, TypedDict

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
    progress: Progress
    queue_position: int | None
    error: Problem | None
    links: dict[str, str]
    source: NotRequired[dict[str, str]]
    options: NotRequired[dict[str, Any]]
    precision: NotRequired[str | None]
    retry_of: NotRequired[str | None]
    #: of a dry run, once every file was looked at
    result: NotRequired[DryRunResult | None]
    #: of an int8 job, after its first pictures
    agreement: NotRequired[Agreement | None]
    #: A word of the server about an accepted job, such as that the queue is down.
    notice: NotRequired[str | None]


def is_dry_run(job: Job) -> bool:
    """Tell whether a job labels nothing and only says what it would do."""
    return bool(job.get("options", {}).get("dry_run"))


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
