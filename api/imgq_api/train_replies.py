"""The bodies that clients read of train and evaluate jobs."""

from typing import Any

from pydantic import BaseModel, Field

from imgq_api.moments import Moment


class TrainJobOptionsBody(BaseModel):
    """What a train job does; null: the preset decides."""

    name: str = Field(description="The model that gets a new version")
    manifest: str | None
    init: str
    backbone: str | None
    preset: str
    epochs: int | None
    max_seconds: float | None
    image_size: int | None
    batch_size: int | None
    val: float
    test: float
    group_by: str | None
    imbalance: str
    augment: str | None
    seed: int
    config: dict[str, Any]
    keep_best: bool


class EvaluateJobOptionsBody(BaseModel):
    """What an evaluate job does."""

    manifest: str | None
    seed: int
    against: str | None = Field(description="The version that holds the alias; null: none is asked")
    alias: str | None = Field(description="What the job decides about")
    export: str | None = Field(
        default=None, description="A format that the model is written in; nothing is evaluated"
    )


class TrainProgress(BaseModel):
    """How far a train or evaluate job is. null: not known yet, or not in this stage."""

    images: int | None = Field(description="Pictures of the dataset, once it was scanned")
    stage: str | None = Field(
        description="scan, probe, finetune, scratch, refit, calibrate, evaluate or report"
    )
    done: int | None = Field(description="Pictures behind, in this stage or in its epoch")
    total: int | None = Field(description="Pictures in all, in this stage or in its epoch")
    run: int | None = Field(
        description="Which run of this stage; each has a seed or a network of its own"
    )
    runs: int | None = Field(description="At most, in this stage")
    epoch: int | None = Field(description="The last one of this run that ended")
    epochs: int | None = Field(description="At most, in this run")
    fraction: float | None = Field(description="0..1 of the whole job")
    eta_seconds: float | None = Field(
        description="Until all networks are trained, if each takes its epochs and no more time"
    )
    train_loss: float | None
    val_loss: float | None
    macro_f1: float | None = Field(description="Of the validation split")


class PromotionResult(BaseModel):
    """What became of an alias that a version was to take."""

    alias: str
    champion: str | None = Field(description="The version that held it")
    decision: str
    reasons: list[str]


class TrainResult(BaseModel):
    """What a train or evaluate job came to."""

    model: str = Field(description="The version that was registered, or evaluated")
    metrics: dict[str, Any] = Field(
        description="pictures, accuracy, balanced_accuracy, macro_f1, ece, standing, and 95 %"
        " intervals as accuracy_interval and macro_f1_interval; learned_pictures, if the model"
        " learned from some of them, and accuracy_of_others"
    )
    verdict: list[str] = Field(description="Sentences, the most important first")
    promotion: PromotionResult | None = Field(
        default=None, description="Of an evaluate job that decides about an alias"
    )


class EpochBody(BaseModel):
    """One epoch of one run of a stage."""

    stage: str
    run: int = Field(description="From 1; each has a seed or a network of its own")
    runs: int
    epoch: int
    epochs: int
    train_loss: float | None
    val_loss: float | None
    macro_f1: float | None
    learning_rate: float | None
    images_per_second: float | None
    ended_at: Moment


class EpochsBody(BaseModel):
    """A training's epochs, in the order they ended."""

    items: list[EpochBody]
    next_cursor: str | None


class LogLineBody(BaseModel):
    """One line of a training's log."""

    level: str = Field(description="info, warning, or output for what the trainer's process wrote")
    message: str
    said_at: Moment


class LogBody(BaseModel):
    """Lines of a training's log, oldest first."""

    items: list[LogLineBody]
    next_cursor: str | None = Field(
        description="Gives what is said from now on, too; null once the job has ended"
    )
