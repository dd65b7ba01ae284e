"""Artifact folders in the data directory: what the registry needs of them, without torch."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from imgq_db.errors import ArtifactInvalid
from imgq_db.models import ModelVersion, NewVersion, register_version
from imgq_db.settings import Settings

MODEL_FILE = "model.json"
FORMAT = "imgq-model/1"

#: a NUL as JSON writes it, and not the text backslash-u-0000
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def artifact_folder(settings: Settings, digest: str) -> Path:
    """Return where the artifact with this digest lies, whether it is there or not."""
    return settings.data_dir / "artifacts" / digest


def import_artifact(engine: Engine, settings: Settings, name: str, folder: Path) -> ModelVersion:
    """Copy an artifact folder into the data directory and register it under a name.

    Raises ArtifactInvalid, ModelExists. Nothing is registered before every byte is checked.
    """
    new = read_artifact(folder)
    store_artifact(settings, folder, new.digest)
    return register_version(engine, name, new)


def read_artifact(folder: Path) -> NewVersion:
    """Read and check an artifact folder. Raises ArtifactInvalid."""
    raw = _read_model_file(folder)
    document = _parse(raw, folder)
    try:
        weights = document["weights"]
        version = NewVersion(
            digest=hashlib.sha256(raw).hexdigest(),
            architecture=str(document["architecture"]["name"]),
            labels=_labels(document["labels"]),
            preprocessing=dict(document["preprocessing"]),
            metrics=dict(document.get("metrics", {})),
        )
        file, wanted = Path(weights["file"]), str(weights["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactInvalid(
            f"{folder / MODEL_FILE} lacks or misspells {error}.",
            "docs/artifacts.md has the format.",
        ) from error
    _check_weights(folder, file, wanted)
    return version


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
    if is_intact(settings, digest):
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


def _parse(raw: bytes, folder: Path) -> dict[str, Any]:
    try:
        document = json.loads(raw)
        plain = json.dumps(document, ensure_ascii=False, allow_nan=False)
        plain.encode()
    except (ValueError, RecursionError) as error:
        raise ArtifactInvalid(f"{folder / MODEL_FILE} is no JSON: {error}.") from error
    if _NUL.search(plain):
        raise ArtifactInvalid(f"{folder / MODEL_FILE} holds a NUL, which Postgres cannot.")
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtifactInvalid(f'{folder / MODEL_FILE} does not say "format": "{FORMAT}".')
    return document


def _labels(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or not found:
        raise ValueError("labels: a list of names")
    if not all(isinstance(label, str) and label for label in found):
        raise ValueError("labels: every one is a text")
    if len(set(found)) != len(found):
        raise ValueError("labels: every one is another")
    return tuple(found)


def _check_weights(folder: Path, file: Path, wanted: str) -> None:
    if file.name != str(file) or file.suffix != ".safetensors":
        raise ArtifactInvalid(
            f"The weights {str(file)!r} are no .safetensors file beside model.json.",
            "Other formats can carry code and are not read.",
        )
    try:
        with (folder / file).open("rb") as reader:
            found = hashlib.file_digest(reader, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactInvalid(f"{folder / file} cannot be read: {error.strerror}.") from error
    if found != wanted:
        raise ArtifactInvalid(
            f"{folder / file} has sha256 {found}, model.json says {wanted}.",
            "The file was changed or cut short: copy it again.",
        )
