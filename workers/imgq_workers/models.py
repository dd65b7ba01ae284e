"""Models of one process: fetched from the data directory and loaded at their first use."""

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Engine

from imgq_db.artifacts import artifact_folder, is_intact, read_artifact, store_artifact
from imgq_db.errors import ArtifactInvalid, ImgqError
from imgq_db.models import ModelVersion, complete_builtin, get_version
from imgq_db.quantisations import find_ranges, keep_ranges
from imgq_db.settings import Settings
from imgq_workers.devices import Devices, GpuLost, GpusTaken

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgq_trainer.artifacts import Artifact
    from imgq_trainer.classifier import Classifier
    from imgq_trainer.ranges import Ranges

    Measure = Callable[[Artifact], Ranges]

_log = structlog.get_logger(__name__)


class ModelUnloadable(Exception):
    """A model version cannot be loaded; `__cause__` says why."""

    def __init__(self, model: str, why: Exception) -> None:
        super().__init__(str(why))
        self.model = model
        self.why = why


class LoadedModels:
    """The model that this process classifies with. It keeps one: weights are large."""

    def __init__(self, engine: Engine, settings: Settings, devices: Devices) -> None:
        self._engine = engine
        self._settings = settings
        self._devices = devices
        self._offered: dict[str, tuple[str, ...]] = {}
        self._turn = threading.Lock()  # two threads must not load the same model twice
        self._loaded: tuple[tuple[int, str, str], Classifier] | None = None

    @property
    def precisions(self) -> tuple[str, ...]:
        """What this process can compute now, the fastest first; empty, and logged, if nothing.

        Makes sure of the lease on its GPU first. Raises DBAPIError if the database is away.
        """
        try:
            device = self._devices.take()
        except GpusTaken:
            return ()
        if device not in self._offered:
            self._offered[device] = self._offer(device)
        return self._offered[device]

    def _offer(self, device: str) -> tuple[str, ...]:
        from imgq_trainer.engines import choose_engine, precisions
        from imgq_trainer.errors import TrainerError

        try:
            return precisions(device, choose_engine(self._settings.engine, device))
        except TrainerError as error:
            _log.error("nothing_can_be_computed", why=str(error))
            return ()

    def get(
        self, version_id: int, precision: str, *, measure: "Measure | None" = None
    ) -> "Classifier":
        """Return a classifier, loading it if the last call was for another.

        measure: finds the ranges that int8 needs, where no worker has found this model's yet.
        Raises what it raises; ModelUnloadable; GpuLost, GpusTaken, DBAPIError if another worker may
        do it.
        """
        device = self._devices.current()
        if precision not in self._offered.get(device, (precision,)):
            raise GpuLost(device)
        key = (version_id, precision, device)
        with self._turn:
            if self._loaded is None or self._loaded[0] != key:
                self._loaded = None
                version = get_version(self._engine, version_id)
                self._loaded = (key, self._load(version, precision, device, measure))
            return self._loaded[1]

    def load(self, version_id: int, precision: str) -> "Classifier":
        """Load a second classifier and do not keep it. Raises as get does."""
        version = get_version(self._engine, version_id)
        return self._load(version, precision, self._devices.current(), None)

    def _load(
        self, version: ModelVersion, precision: str, device: str, measure: "Measure | None"
    ) -> "Classifier":
        from imgq_trainer.artifacts import load_artifact
        from imgq_trainer.classifier import load_classifier
        from imgq_trainer.errors import RootUnavailable, Stopped, TrainerError

        try:
            artifact = load_artifact(ensure_artifact(self._engine, self._settings, version))
            classifier = load_classifier(
                artifact,
                device=device,
                precision=precision,
                threads=self._settings.torch_threads,
                engine=self._settings.engine,
                ranges=measure and self._ranges(version, artifact, measure),
                gpu_decode=self._settings.gpu_decode,
            )
        except (Stopped, RootUnavailable):  # of measuring: nothing is wrong with the model
            raise
        except (TrainerError, ImgqError, OSError) as error:
            raise ModelUnloadable(version.ref, error) from error
        _log.info(
            "model_loaded", model=version.ref, device=classifier.device, engine=classifier.engine
        )
        return classifier

    def _ranges(self, version: ModelVersion, artifact: "Artifact", measure: "Measure") -> "Ranges":
        from imgq_trainer.measuring import quantiser
        from imgq_trainer.ranges import Ranges

        how = quantiser()
        stored = find_ranges(self._engine, version.id, how)
        if stored is None:
            new = measure(artifact)
            stored = keep_ranges(
                self._engine, version.id, how, new.to_bytes(), pictures=new.pictures
            )
            _log.info("ranges_measured", model=version.ref, pictures=new.pictures)
        return Ranges.from_bytes(stored)


def ensure_artifact(engine: Engine, settings: Settings, version: ModelVersion) -> Path:
    """Return the folder of a version's artifact, checked against its digest.

    The built-in model's artifact is written at its first use. Raises ArtifactInvalid.
    """
    digest = version.digest
    if version.source == "builtin" and not (digest and is_intact(settings, digest)):
        digest = _write_builtin(engine, settings)
    assert digest is not None
    folder = artifact_folder(settings, digest)
    if not folder.is_dir():
        raise ArtifactInvalid(
            f"The files of {version.ref} are not in {folder}.",
            "Mount the installation's data directory there, or import the model again.",
        )
    if read_artifact(folder).digest != digest:
        raise ArtifactInvalid(f"The files of {version.ref} in {folder} were changed.")
    return folder


def _write_builtin(engine: Engine, settings: Settings) -> str:
    from imgq_trainer.lite_weights import write_builtin_artifact

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix=".builtin-") as staging:
        folder = Path(staging) / "artifact"
        write_builtin_artifact(folder)
        new = read_artifact(folder)
        store_artifact(settings, folder, new.digest)
    complete_builtin(engine, new)
    return new.digest
