"""What can go wrong with a model or a whole folder; a single file's fault is an outcome instead.

TrainerError
├── ArtifactInvalid ── WeightsPackageMissing
├── ArtifactExists
├── ArchitectureUnknown
├── DeviceUnavailable
├── DeviceMemoryFull
├── DeviceBroken
├── EngineUnavailable
├── PrecisionUnsupported
├── QuantisationRefused ── TooFewPictures
├── RangesInvalid
├── RootUnavailable
├── ScoresNotFinite
└── Stopped
"""

from collections.abc import Sequence
from pathlib import Path


class TrainerError(Exception):
    """Base of everything that imgq_trainer raises on purpose."""


class ArtifactInvalid(TrainerError):
    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"The model in {folder} cannot be used: {reason}.")
        self.folder = folder
        self.reason = reason


class WeightsPackageMissing(ArtifactInvalid):
    def __init__(self, folder: Path, package: str, reason: str) -> None:
        super().__init__(folder, f"its weights come from the package {package}, {reason}")


class ArtifactExists(TrainerError):
    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} already holds another model; a model's files never change.")


class ArchitectureUnknown(TrainerError):
    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The architecture {name!r} cannot be built: {reason}.")


class DeviceUnavailable(TrainerError):
    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"The device {device!r} cannot be used: {reason}.")


class DeviceMemoryFull(TrainerError):
    def __init__(self, device: str) -> None:
        super().__init__(
            f"The device {device!r} has too little free memory for this model. Let one worker at a"
            " time use it, or choose another device."
        )
        self.device = device


class DeviceBroken(TrainerError):
    """The device, or what drives it, failed; this process can hardly use it again."""

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(f"The device {device!r} failed to compute the model: {reason}.")
        self.device = device


class EngineUnavailable(TrainerError):
    def __init__(self, engine: str, reason: str) -> None:
        super().__init__(f"The engine {engine!r} cannot be used: {reason}.")


class PrecisionUnsupported(TrainerError):
    def __init__(self, precision: str, offered: Sequence[str]) -> None:
        here = " and ".join(repr(one) for one in offered)
        super().__init__(f"The precision {precision!r} is not available here, only {here}.")


class QuantisationRefused(TrainerError):
    """int8 is nothing for this network, or for these pictures. The message is whole sentences."""


class TooFewPictures(QuantisationRefused):
    def __init__(self, least: int, found: int) -> None:
        super().__init__(
            "int8 is prepared for a model with pictures of its first folder,"
            f" {least} at least; this one has {found}."
        )


class RangesInvalid(TrainerError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"The stored ranges for int8 do not fit the model: {reason}.")


class RootUnavailable(TrainerError):
    def __init__(self, root: Path, reason: str) -> None:
        super().__init__(f"The folder {root} cannot be opened: {reason}.")


class ScoresNotFinite(TrainerError):
    def __init__(self) -> None:
        super().__init__("The model gave a score that is not a number.")


class Stopped(TrainerError):
    def __init__(self) -> None:
        super().__init__("The caller asked to stop.")
