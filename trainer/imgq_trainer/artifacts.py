"""A model's folder: `model.json` and its weights, read strictly and written all or nothing."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from uuid import uuid4

import pydantic
from pydantic import Field, JsonValue
from pydantic.dataclasses import dataclass as validated

from imgq_trainer.errors import ArtifactExists, ArtifactInvalid

FORMAT: Final = "imgq-model/1"
MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"
MAX_MODEL_FILE_BYTES = 64 << 20

_STRICT = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Label = Annotated[str, Field(min_length=1, max_length=1000)]
Labels = Annotated[tuple[Label, ...], Field(min_length=1)]
Side = Annotated[int, Field(ge=1, le=8192)]
Positive = Annotated[float, Field(gt=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@validated(frozen=True, slots=True, config=_STRICT)
class Architecture:
    #: "imgq": one of the project's own networks
    library: Literal["timm", "imgq"]
    name: Name
    arguments: dict[str, JsonValue]


@validated(frozen=True, slots=True, config=_STRICT)
class Preprocessing:
    #: the side after resizing, as `fit` means it, then that of the central square, in pixels
    resize: Side
    crop: Side
    interpolation: Literal["bicubic", "bilinear"]
    #: per channel, red first, on a scale of 0..1
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    #: "crop": the shorter side becomes `resize`; "pad": the longer one, and the rest of the square
    #: is white, as is what shines through a picture; "squash": both, whatever the proportions
    fit: Literal["crop", "pad", "squash"] = "crop"

    @pydantic.model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop > self.resize:
            raise ValueError("crop is larger than resize")
        return self


@validated(frozen=True, slots=True, config=_STRICT)
class Weights:
    file: Name
    sha256: Sha256


@validated(frozen=True, slots=True, config=_STRICT)
class Model:
    """The content of `model.json`."""

    format: Literal["imgq-model/1"]
    architecture: Architecture
    labels: Labels
    preprocessing: Preprocessing
    weights: Weights
    temperature: Positive
    metrics: dict[str, JsonValue]
    provenance: dict[str, JsonValue]

    @pydantic.model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("two labels are the same")
        return self


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model on disk whose files were checked."""

    folder: Path
    model: Model
    #: sha256 of `model.json`, in hex; it names the weights by their digest, so it covers both files
    digest: str

    def read_weights(self) -> bytes:
        """Return the weights file, checked against its digest."""
        return _read_weights(self.folder, self.model.weights)


def load_artifact(folder: Path) -> Artifact:
    """Read a model's folder and check every byte of it.

    Raises ArtifactInvalid if a file is missing, malformed, or not the one that was written.
    """
    text = _read(folder, MODEL_FILE, MAX_MODEL_FILE_BYTES)
    try:
        model = pydantic.TypeAdapter(Model).validate_json(text)
    except pydantic.ValidationError as error:
        raise ArtifactInvalid(folder, _first_fault(error)) from error
    _read_weights(folder, model.weights)
    return Artifact(folder, model, hashlib.sha256(text).hexdigest())


def write_artifact(folder: Path, model: Model, weights: bytes) -> Artifact:
    """Put a model's files at `folder`, so that a reader finds all of them or none.

    Writing the same model again, also from several processes at once, is harmless; what a crash
    left there is replaced. Raises ArtifactExists if another valid model is there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{folder.name}.{uuid4().hex}.new")
    fresh.mkdir()
    try:
        _write(fresh / model.weights.file, weights)
        _write(fresh / MODEL_FILE, _to_json(model))
        _sync_folder(fresh)
        written = load_artifact(fresh)
        _move_into_place(fresh, folder, written.digest)
        _sync_folder(folder.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Artifact(folder, written.model, written.digest)


def _move_into_place(fresh: Path, folder: Path, digest: str) -> None:
    while True:
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        else:
            return
        try:
            there = load_artifact(folder)
        except ArtifactInvalid:
            _clear_away(folder)  # half-written: make room and try again
            continue
        if there.digest != digest:
            raise ArtifactExists(folder)
        return


def _clear_away(folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.{uuid4().hex}.old")
    try:
        folder.rename(aside)
    except FileNotFoundError:  # another writer was faster
        return
    shutil.rmtree(aside)


def _to_json(model: Model) -> bytes:
    # What is at its default is left out, so that a model's digest outlives a new field.
    return pydantic.TypeAdapter(Model).dump_json(model, indent=1, exclude_defaults=True) + b"\n"


def _read_weights(folder: Path, weights: Weights) -> bytes:
    content = _read(folder, weights.file, None)
    if hashlib.sha256(content).hexdigest() != weights.sha256:
        raise ArtifactInvalid(folder, f"{weights.file} is not the file that model.json names")
    return content


def _read(folder: Path, name: str, max_bytes: int | None) -> bytes:
    try:
        with (folder / name).open("rb") as file:
            content = file.read(-1 if max_bytes is None else max_bytes + 1)
    except OSError as error:
        raise ArtifactInvalid(folder, f"{name}: {error.strerror}") from error
    if max_bytes is not None and len(content) > max_bytes:
        raise ArtifactInvalid(folder, f"{name} is larger than {max_bytes} bytes")
    return content


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _first_fault(error: pydantic.ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    place = "/".join(str(step) for step in fault["loc"])
    return f"model.json: {place + ': ' if place else ''}{fault['msg']}"
