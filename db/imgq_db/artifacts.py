"""Artifact folders in the data directory: what the registry needs of them, without torch."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Engine

from imgq_db.artifact_format import ArtifactDocument, first_fault, output_sizes
from imgq_db.errors import ArtifactInvalid
from imgq_db.models import ModelVersion, NewVersion, check_new_name, register_version
from imgq_db.settings import Settings
from imgq_db.training.keeping import touch

MODEL_FILE = "model.json"

#: a NUL as JSON writes it, and not the text backslash-u-0000
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def artifact_folder(settings: Settings, digest: str) -> Path:
    """Return where the artifact with this digest lies, whether it is there or not."""
    return settings.data_dir / "artifacts" / digest


def import_artifact(engine: Engine, settings: Settings, name: str, folder: Path) -> ModelVersion:
    """Copy an artifact folder into the data directory and register it under a name.

    Raises ArtifactInvalid, ModelExists. Nothing is registered before every byte is checked.
    """
    check_new_name(name)
    new = read_artifact(folder)
    store_artifact(settings, folder, new.digest)
    version = register_version(engine, name, new)
    # The last other version with these files may have been deleted in between, and they with it.
    store_artifact(settings, folder, new.digest)
    return version


def read_artifact(folder: Path) -> NewVersion:
    """Read and check an artifact folder. Raises ArtifactInvalid."""
    raw = _read_model_file(folder)
    document = _parse(raw, folder)
    _check_weights(folder, document)
    parent = document.provenance.get("parent")
    return NewVersion(
        digest=hashlib.sha256(raw).hexdigest(),
        architecture=document.architecture.name,
        labels=document.labels,
        preprocessing=document.preprocessing.model_dump(mode="json"),
        metrics=document.metrics,
        parent=parent if isinstance(parent, str) else None,
    )


def read_provenance(settings: Settings, version: ModelVersion) -> dict[str, Any] | None:
    """Return what a version's model.json says of its making, None if that is not there."""
    if version.digest is None:
        return None
    folder = artifact_folder(settings, version.digest)
    try:
        return dict(_parse(_read_model_file(folder), folder).provenance)
    except ArtifactInvalid:
        return None


def is_intact(settings: Settings, digest: str) -> bool:
    """Tell whether every byte of the artifact with this digest is in its place."""
    try:
        return read_artifact(artifact_folder(settings, digest)).digest == digest
    except ArtifactInvalid:
        return False


def store_artifact(settings: Settings, folder: Path, digest: str) -> Path:
    """Copy an artifact to its place, whole or not at all; an intact one that is there stays.

    Raises ArtifactInvalid if the folder changes meanwhile.
    """
    target = artifact_folder(settings, digest)
    if touch(target) and is_intact(settings, digest):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".incoming-"))
    try:
        document = json.loads((folder / MODEL_FILE).read_bytes())
        for file in (MODEL_FILE, document["weights"]["file"]):
            _copy_durably(folder / file, staging / file)
        if read_artifact(staging).digest != digest:
            raise ArtifactInvalid(f"{folder} changed while it was copied.")
        staging.chmod(0o755)
        while not _move(staging, target) and not is_intact(settings, digest):
            _clear_away(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _move(staging: Path, target: Path) -> bool:
    """Rename a folder. False: another one is there."""
    try:
        staging.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        return False
    return True


def _clear_away(damaged: Path) -> None:
    # One rename, so that of several processes only one removes it, and none a good copy in parts.
    aside = Path(tempfile.mkdtemp(dir=damaged.parent, prefix=".damaged-"))
    try:
        damaged.rename(aside / damaged.name)
    except FileNotFoundError:
        pass  # another process was faster
    finally:
        shutil.rmtree(aside)


def _copy_durably(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())


def _read_model_file(folder: Path) -> bytes:
    try:
        return (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise ArtifactInvalid(
            f"{folder / MODEL_FILE} cannot be read: {error.strerror}.",
            "An artifact is a folder with model.json and its weights.",
        ) from error


def _parse(raw: bytes, folder: Path) -> ArtifactDocument:
    place = folder / MODEL_FILE
    try:
        document = ArtifactDocument.model_validate_json(raw)
        plain = json.dumps(json.loads(raw), ensure_ascii=False, allow_nan=False)
        plain.encode()
    except ValidationError as error:
        raise ArtifactInvalid(
            f"{place} cannot be used: {first_fault(error)}.", "docs/artifacts.md has the format."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactInvalid(f"{place} is no JSON: {error}.") from error
    if _NUL.search(plain):
        raise ArtifactInvalid(f"{place} holds a NUL, which Postgres cannot.")
    return document


def _check_weights(folder: Path, document: ArtifactDocument) -> None:
    weights, wanted = folder / document.weights.file, document.weights.sha256
    try:
        with weights.open("rb") as reader:
            found = hashlib.file_digest(reader, "sha256").hexdigest()
        sizes = output_sizes(weights) if found == wanted else set()
    except OSError as error:
        raise ArtifactInvalid(f"{weights} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactInvalid(
            f"{weights} is no safetensors file.", "Other formats can carry code and are not read."
        ) from error
    if found != wanted:
        raise ArtifactInvalid(
            f"{weights} has sha256 {found}, model.json says {wanted}.",
            "The file was changed or cut short: copy it again.",
        )
    if len(document.labels) not in sizes:
        raise ArtifactInvalid(
            f"No layer of {weights} has {len(document.labels)} outputs, one for each label.",
            "labels needs exactly the names of the network's classes.",
        )
