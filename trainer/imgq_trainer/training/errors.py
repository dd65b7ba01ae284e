"""Why a training or an evaluation cannot go on, in words for the person who asked for it.

TrainerError
└── TrainingError
    ├── SpecInvalid
    ├── ConfigInvalid
    ├── BackboneUnknown
    ├── BackboneUnsuited
    ├── WeightsNotSafetensors
    ├── WeightsUnfit
    ├── HandBroken
    ├── DiskTooSmall
    ├── DiskFull
    ├── OutOfMemory
    ├── TrainingDiverged
    ├── NoProgress
    ├── CheckpointInvalid
    ├── PictureUnreadable
    ├── ExportFailed
    └── Unexpected
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from imgq_trainer.errors import TrainerError


class TrainingError(TrainerError):
    """The message says what happened; `hint`, what to try; `title`, the kind in a few words."""

    title: ClassVar[str] = "Training failed"
    hint: str | None = None


class SpecInvalid(TrainingError):
    title = "The training's specification is invalid"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is no specification of a training: {reason}.")


class ConfigInvalid(TrainingError):
    title = "The training's configuration is invalid"

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(f"The configuration cannot be used: {reason}.")
        self.hint = hint or "docs/training.md lists every key with its default."


class BackboneUnknown(TrainingError):
    title = "There is no such backbone"

    def __init__(self, name: str, close: Sequence[str]) -> None:
        super().__init__(f"timm has no backbone called {name!r}.")
        if close:
            self.hint = f"Did you mean {' or '.join(close)}?"
        else:
            self.hint = "Leave the backbone out for the default one."


class BackboneUnsuited(TrainingError):
    title = "The backbone cannot be trained that way"

    def __init__(self, name: str, reason: str, hint: str | None = None) -> None:
        super().__init__(f"{name!r} cannot be used: {reason}.")
        self.hint = hint


class WeightsNotSafetensors(TrainingError):
    title = "The weights are not safetensors"
    hint = "Other formats can carry code. Save the state dict with safetensors.torch.save_file."

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is no safetensors file: {reason}.")


class WeightsUnfit(TrainingError):
    title = "The weights are another network's"

    def __init__(self, path: Path, name: str, reason: str) -> None:
        super().__init__(f"The weights in {path} do not fit {name!r}: {reason}.")


class HandBroken(TrainingError):
    title = "A process of the training failed"
    hint = "The job's log has its last words. Please report them."

    def __init__(self, rank: int, processes: int) -> None:
        super().__init__(f"Process {rank + 1} of {processes} failed while it computed gradients.")


class ProcessLost(Exception):
    """Another process of the training died, or gave no answer: what is on disk is what is left.

    No fault of the training's: it goes on from its last checkpoint.
    """

    def __init__(self, why: Exception) -> None:
        super().__init__(f"a process of the training is gone or gives no answer ({why})")


class DiskTooSmall(TrainingError):
    title = "The disk is too small"
    hint = "Free some space, or let the work be done in a folder on another disk."

    def __init__(self, folder: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"Training needs {needed_bytes / 1e6:,.0f} MB in {folder}, and the disk has"
            f" {free_bytes / 1e6:,.0f} MB free."
        )


class DiskFull(TrainingError):
    title = "The disk is full"
    hint = "Free some space, or let the work be done in a folder on another disk."

    def __init__(self, error: OSError) -> None:
        place = f" while {error.filename} was written" if error.filename else ""
        super().__init__(f"The disk ran full{place}.")


class OutOfMemory(TrainingError):
    title = "There is too little memory"
    hint = "Choose smaller pictures (image size), a smaller backbone, or the preset fast."

    def __init__(self, stage: str) -> None:
        super().__init__(f"The stage {stage} has too little memory for even one picture at a time.")


class TrainingDiverged(TrainingError):
    title = "Training diverged"
    hint = "Lower the learning rate in the configuration, or choose the preset fast."

    def __init__(self, stage: str, epoch: int) -> None:
        super().__init__(
            f"The loss of the stage {stage} is no number in epoch {epoch}, at a lower learning"
            " rate too."
        )


class NoProgress(TrainingError):
    title = "Training made no progress"
    hint = "Check the labels, raise the learning rate or the epochs, or start from a trained model."

    def __init__(self, stage: str, epochs: int, one_class: str | None = None) -> None:
        """one_class: the only one that was named at all."""
        count = "1 epoch" if epochs == 1 else f"{epochs} epochs"
        better = "is no better than always naming the most frequent class"
        if one_class is not None:
            better = f"gives every picture of validation one label, {one_class!r}"
        elif epochs > 1:
            better += ", and its loss has hardly fallen"
        super().__init__(f"After {count} the stage {stage} {better}.")


class CheckpointInvalid(TrainingError):
    title = "The checkpoint cannot be used"
    hint = "Start the training again without it."

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"The checkpoint in {folder} cannot be used: {reason}.")


class PictureUnreadable(TrainingError):
    title = "A picture cannot be read any more"

    def __init__(self, path: bytes, reason: str) -> None:
        shown = path.decode("utf-8", "backslashreplace")
        super().__init__(f"{shown} was read before, but now it cannot be: {reason}.")


class ExportFailed(TrainingError):
    title = "The model cannot be exported"

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(f"The model cannot be exported: {reason}.")
        self.hint = hint


class Unexpected(TrainingError):
    title = "Training failed unexpectedly"
    hint = "The worker's log has the traceback. Please report it."

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
