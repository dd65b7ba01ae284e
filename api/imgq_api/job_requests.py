"""The body of POST /v1/jobs: one shape for each kind of job."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, RootModel

from imgq_api.knobs import check_knobs
from imgq_api.requests import BUDGET, Body, Glob, JobSource, Line, Share, TagKey, TagValue
from imgq_db.jobs import JobKind, NewJob, Options, Priority
from imgq_db.options import MAX_TOP_K, ClassifyOptions
from imgq_db.train_options import MAX_SEED, EvaluateOptions, TrainOptions

Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
ModelRef = Annotated[Line, Field(min_length=1, max_length=200)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


def _known(config: dict[str, JsonValue]) -> dict[str, JsonValue]:
    check_knobs(config)
    return config


Manifest = Annotated[
    Line,
    Field(
        min_length=1,
        max_length=4096,
        description="A CSV or JSONL file below the source with path and label, and split and group"
        " if you like; null: the folders are the labels",
    ),
]


class ClassifyJobOptions(Body):
    """What a classify job does."""

    recursive: bool = True
    include: Annotated[list[Glob], Field(max_length=100)] = Field(
        default=[], description="Globs on the relative path; none: every file"
    )
    exclude: Annotated[list[Glob], Field(max_length=100)] = Field(default=[])
    top_k: int = Field(default=5, ge=1, le=MAX_TOP_K)
    min_confidence: Share | None = Field(default=None, description="Below it the label is null")
    max_failures: Annotated[str, Field(pattern=BUDGET)] | None = Field(
        default=None, description="Fail the job after so many failed images: 12, or 5%"
    )
    precision: Literal["exact", "auto", "int8"] = "auto"
    cache: bool = Field(
        default=True, description="false: compute every picture, whatever is already known of it"
    )
    dry_run: bool = Field(
        default=False, description="Tell what the job would do; label nothing. See result"
    )

    def to_options(self) -> ClassifyOptions:
        """Return the options that are stored with the job."""
        options = self.model_dump()
        for globs in ("include", "exclude"):
            options[globs] = tuple(options[globs])
        return ClassifyOptions(**options)


class TrainJobOptions(Body):
    """What a train job does; null: the preset decides."""

    name: Annotated[Line, Field(min_length=1, max_length=63)] = Field(
        description="The model that gets a new version"
    )
    manifest: Manifest | None = None
    init: ModelRef = Field(
        default="imagenet", description="imagenet, scratch, or the model to continue from"
    )
    backbone: Annotated[Line, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="One of timm's architectures"
    )
    preset: Literal["fast", "balanced", "best"] = "balanced"
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    max_seconds: Annotated[float, Field(ge=1, le=1e8, allow_inf_nan=False)] | None = Field(
        default=None, description="Wall clock for the whole training"
    )
    image_size: Annotated[int, Field(ge=8, le=2048)] | None = Field(
        default=None, description="Side of what the network sees, in pixels"
    )
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    val: Fraction = Field(default=0.15, description="Share of the pictures that validate")
    test: Fraction = Field(default=0.15, description="Share of the pictures that judge at the end")
    group_by: Annotated[Line, Field(min_length=1, max_length=1000)] | None = Field(
        default=None,
        description="Keeps pictures on one side of the split: a regular expression on the path,"
        " or a column of the manifest",
    )
    imbalance: Literal["auto", "none", "weights", "sampler", "logits"] = "auto"
    augment: Literal["none", "light", "standard", "strong"] | None = None
    seed: Seed = 0
    config: Annotated[dict[str, JsonValue], AfterValidator(_known)] = Field(
        default={}, description="Every other knob, by the names of the TOML file"
    )
    keep_best: bool = Field(
        default=False, description="A cancel keeps the files of the best so far"
    )

    def to_options(self) -> TrainOptions:
        """Return the options that are stored with the job.

        Raises OptionInvalid, ArtifactInvalid, ModelExists.
        """
        return TrainOptions(**self.model_dump())


class EvaluateJobOptions(Body):
    """What an evaluate job does."""

    manifest: Manifest | None = None
    seed: Seed = Field(default=0, description="Of the bootstrap intervals")

    def to_options(self) -> EvaluateOptions:
        """Return the options that are stored with the job."""
        return EvaluateOptions(**self.model_dump())


class _NewJob(Body):
    source: JobSource
    name: Annotated[Line, Field(max_length=200)] | None = Field(
        default=None, description="What people call the job"
    )
    tags: Annotated[dict[TagKey, TagValue], Field(max_length=50)] = Field(default={})
    priority: Priority = Priority.NORMAL


class ClassifyJobRequest(_NewJob):
    """A new job that labels a folder."""

    kind: Literal["classify"]
    model: ModelRef = Field(default="imagenet", description="NAME, NAME:VERSION or NAME@ALIAS")
    options: ClassifyJobOptions = ClassifyJobOptions()


class TrainJobRequest(_NewJob):
    """A new job that trains a model on a labelled folder."""

    kind: Literal["train"]
    options: TrainJobOptions


class EvaluateJobRequest(_NewJob):
    """A new job that judges a model on a labelled folder."""

    kind: Literal["evaluate"]
    model: ModelRef = Field(description="NAME, NAME:VERSION or NAME@ALIAS")
    options: EvaluateJobOptions = EvaluateJobOptions()


Kinds = ClassifyJobRequest | TrainJobRequest | EvaluateJobRequest


class JobRequest(RootModel[Annotated[Kinds, Field(discriminator="kind")]]):
    """A new job."""

    @property
    def kind(self) -> JobKind:
        """What kind of job it is."""
        return JobKind(self.root.kind)

    def to_new_job(self, *, key_id: int | None, idempotency_key: str | None) -> NewJob:
        """Return the job that the shared state is asked for.

        Raises OptionInvalid, ArtifactInvalid, ModelExists.
        """
        asked = self.root
        options: Options = asked.options.to_options()
        return NewJob(
            source=asked.source.uri,
            # A train job's options say what it starts from.
            model="" if isinstance(asked, TrainJobRequest) else asked.model,
            options=options,
            kind=self.kind,
            name=asked.name,
            tags=asked.tags,
            priority=asked.priority,
            key_id=key_id,
            idempotency_key=idempotency_key,
        )
