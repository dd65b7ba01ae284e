"""After `done`: everything into the data directory first, then the one transaction that ends it."""

import os
import shutil
from pathlib import Path

import structlog

from imgq_db.artifacts import read_artifact, store_artifact
from imgq_db.exporting import kept_exports
from imgq_db.models import NewVersion, get_version
from imgq_db.names import name_from_text
from imgq_db.settings import Settings
from imgq_db.sources import source_folder
from imgq_db.train_options import EvaluateOptions, TrainOptions
from imgq_db.training.datasets import DatasetSnapshot, read_examples, read_snapshot
from imgq_db.training.events import Said, store_events
from imgq_db.training.keeping import (
    folder_digest,
    keep_folder,
    keep_picture,
    kept_dataset,
    kept_picture,
    kept_report,
    touch,
)
from imgq_db.training.leases import TrainingLease
from imgq_db.training.outcomes import (
    Judgement,
    finish_comparison,
    finish_evaluation,
    finish_export,
    finish_training,
)
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.lines import Done

#: What must stay free on the disk beside test pictures.
FREE_BYTES = 100 << 20

_log = structlog.get_logger(__name__)


def register(context: TrainerContext, lease: TrainingLease, done: Done) -> str:
    """Keep the files, register the version, end the job; return what the result is called.

    Raises LeaseLost; ArtifactInvalid, OSError, ValueError if the trainer's files are no good.
    """
    settings = context.settings
    if done.decision is not None:
        return finish_comparison(context.engine, lease, done.decision)
    if done.export is not None:
        return _register_export(context, lease, done)
    dataset = _keep_dataset(settings, done.dataset)
    judgement = Judgement(done.metrics, done.verdict, _keep_report(settings, done.report), dataset)
    if not isinstance(lease.options, TrainOptions):
        return finish_evaluation(context.engine, lease, judgement)
    new = _keep_artifact(settings, done.artifact)
    if dataset is not None:
        _keep_test_pictures(context, lease, kept_dataset(settings, dataset.digest))
    os.sync()  # pictures are many and small: together they are on the disk in one go
    return finish_training(context.engine, lease, new, judgement)


def _register_export(context: TrainerContext, lease: TrainingLease, done: Done) -> str:
    options = lease.options
    assert isinstance(options, EvaluateOptions) and lease.model_version_id is not None
    version = get_version(context.engine, lease.model_version_id)
    if done.export is None or options.export is None or version.digest is None:
        raise ValueError("nobody asked for an export")
    keep_folder(done.export, kept_exports(context.settings, version.digest) / options.export)
    return finish_export(context.engine, lease, done.metrics)


def _keep_artifact(settings: Settings, folder: Path | None) -> NewVersion:
    if folder is None:
        raise ValueError("it named no artifact")
    new = read_artifact(folder)
    store_artifact(settings, folder, new.digest)
    return new


def _keep_report(settings: Settings, folder: Path | None) -> str:
    if folder is None or not folder.is_dir():
        raise ValueError(f"the report's folder {folder} is not there")
    digest = folder_digest(folder)
    keep_folder(folder, kept_report(settings, digest))
    return digest


def _keep_dataset(settings: Settings, folder: Path | None) -> DatasetSnapshot | None:
    if folder is None:
        return None
    snapshot = read_snapshot(folder)
    keep_folder(folder, kept_dataset(settings, snapshot.digest))
    return snapshot


def _keep_test_pictures(context: TrainerContext, lease: TrainingLease, dataset: Path) -> None:
    """Keep the test split's bytes, so that later models can be judged on the same pictures."""
    settings = context.settings
    root = source_folder(lease.source, settings)
    wanted = {
        example.digest: root / os.fsdecode(name_from_text(example.path))
        for example in read_examples(dataset)
        if example.split == "test" and not touch(kept_picture(settings, example.digest))
    }
    size = sum(path.stat().st_size for path in wanted.values() if path.is_file())
    if size > settings.test_picture_bytes:
        _say(
            context,
            lease,
            f"The {len(wanted)} test pictures take {size:,} bytes, more than"
            f" IMGQ_TEST_PICTURE_BYTES ({settings.test_picture_bytes:,}): they are not kept, and"
            " later versions cannot be compared with this one by the promotion gate.",
        )
        return
    free = shutil.disk_usage(settings.data_dir).free
    if size > free - FREE_BYTES:
        _say(
            context,
            lease,
            f"The {len(wanted)} test pictures take {size:,} bytes, and the disk of the data"
            f" directory has {free:,} free: they are not kept, and later versions cannot be"
            " compared with this one by the promotion gate.",
        )
        return
    lost = sum(not _keep_one(settings, digest, path) for digest, path in wanted.items())
    if lost:
        _say(context, lease, f"{lost} test pictures were gone or changed, and are not kept.")


def _keep_one(settings: Settings, digest: bytes, path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return keep_picture(settings, digest, content)


def _say(context: TrainerContext, lease: TrainingLease, words: str) -> None:
    _log.warning("test_pictures_not_kept", why=words)
    store_events(context.engine, lease, [Said("warning", words)])
