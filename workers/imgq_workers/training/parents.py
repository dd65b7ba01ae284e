"""The artifact that a training starts from or an evaluation looks at, found without torch."""

import subprocess
import sys
from pathlib import Path

from imgq_db.artifacts import is_intact
from imgq_db.errors import ImgqError
from imgq_db.models import ModelVersion, get_version
from imgq_workers.models import ModelUnloadable, ensure_artifact
from imgq_workers.training.context import TrainerContext

#: The built-in model's files are written from its package: torch is imported for that.
WRITE_SECONDS = 300


def artifact_of(context: TrainerContext, version: ModelVersion) -> Path:
    """Return the folder of a version's artifact, checked. Raises ModelUnloadable."""
    if version.source == "builtin" and not _is_there(context, version):
        version = _write_builtin(context, version)
    try:
        return ensure_artifact(context.engine, context.settings, version)
    except (ImgqError, OSError) as error:
        raise ModelUnloadable(version.ref, error) from error


def _is_there(context: TrainerContext, version: ModelVersion) -> bool:
    return version.digest is not None and is_intact(context.settings, version.digest)


def _write_builtin(context: TrainerContext, version: ModelVersion) -> ModelVersion:
    # Torch must not be loaded in this process.
    command = [sys.executable, "-m", "imgq_workers.training.builtin"]
    try:
        subprocess.run(command, check=True, timeout=WRITE_SECONDS)  # noqa: S603 - our own module
    except subprocess.SubprocessError as error:
        raise ModelUnloadable(version.ref, error) from error
    return get_version(context.engine, version.id)
