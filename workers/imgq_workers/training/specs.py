"""What the trainer is told: a JSON file, and an environment without any secret."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from imgq_db.models import SCRATCH, get_version
from imgq_db.settings import Settings
from imgq_db.sources import named_file, source_folder
from imgq_db.train_options import EvaluateOptions, TrainOptions
from imgq_db.train_requests import WEIGHTS
from imgq_db.training.leases import TrainingLease
from imgq_db.training.lineage import trained_on
from imgq_trainer.crew import usable_cores
from imgq_workers.training.comparisons import comparison_spec
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.parents import artifact_of
from imgq_workers.training.processes import MARK

SPEC_FILE, LEARNED_FILE = "spec.json", "learned.txt"
#: A training whose time is over is still ended properly, with the best so far.
LEAST_SECONDS = 1.0
#: of what a training may be silent for, until one of its processes must have answered another
ANSWER_SHARE = 1 / 3
VISIBLE = "CUDA_VISIBLE_DEVICES"
FIRST_GPU = "cuda:0"
_GPU = "cuda:"
_log = structlog.get_logger(__name__)
_OURS = ("IMGQ_", "DATABASE_URL", "REDIS_URL")


def write_spec(
    context: TrainerContext,
    lease: TrainingLease,
    folder: Path,
    resume: Path | None,
    devices: Sequence[str],
) -> Path:
    """Write the file for this attempt and return it. devices: one for each process.

    Raises SourceInvalid, SourceNotAllowed, ModelUnloadable.
    """
    spec = _machine(context.settings, folder, devices[0])
    if isinstance(lease.options, EvaluateOptions) and lease.options.against is not None:
        spec |= comparison_spec(context, lease, lease.options, folder)
    elif command_of(lease) == "export":
        version = get_version(context.engine, _version_id(lease))
        artifact = str(artifact_of(context, version).absolute())
        spec |= {"kind": "export", "root": artifact, "artifact": artifact}
    elif isinstance(lease.options, TrainOptions):
        spec |= _source(context.settings, lease) | _training(context, lease, lease.options)
        spec |= _learned(context, lease, folder)
        spec["resume"] = None if resume is None else str(resume)
        spec |= _processes(context.settings, len(devices))
    else:
        spec |= _source(context.settings, lease)
        version = get_version(context.engine, _version_id(lease))
        artifact = str(artifact_of(context, version))
        spec |= {"kind": "evaluate", "artifact": artifact, "name": version.ref}
        spec |= _learned(context, lease, folder)
    path = folder / SPEC_FILE
    path.write_text(json.dumps(spec, ensure_ascii=False, indent=1))
    return path


def trainer_environment(lease: TrainingLease, devices: Sequence[str]) -> dict[str, str]:
    """Return the environment of the trainer's processes: they have no business with our servers.

    Of the GPUs they see their own alone, in this order.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
    numbers = [int(each.removeprefix(_GPU)) for each in devices if each.startswith(_GPU)]
    if numbers:
        visible = [each.strip() for each in kept.get(VISIBLE, "").split(",") if each.strip()]
        names = [visible[each] if each < len(visible) else str(each) for each in numbers]
        kept[VISIBLE] = ",".join(names)
    return kept | {
        MARK: str(lease.job_uid),
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
    }


def command_of(lease: TrainingLease) -> str:
    """Return what the trainer is to do: the first of its arguments."""
    options = lease.options
    if isinstance(options, EvaluateOptions) and options.against is not None:
        return "compare"
    if isinstance(options, EvaluateOptions) and options.export is not None:
        return "export"
    return lease.kind.value


def _processes(settings: Settings, count: int) -> dict[str, Any]:
    """Return how many processes train, and when one of them hangs: long before all seem to."""
    seconds = settings.train_silence_seconds * ANSWER_SHARE
    return {"processes": count, "answer_seconds": seconds} if count > 1 else {}


def _source(settings: Settings, lease: TrainingLease) -> dict[str, Any]:
    options: TrainOptions | EvaluateOptions = lease.options
    root = source_folder(lease.source, settings)
    return {
        "root": str(root),
        "manifest": None if options.manifest is None else str(root / options.manifest),
        "seed": options.seed,
    }


def _machine(settings: Settings, folder: Path, device: str) -> dict[str, Any]:
    return {
        "work_dir": str(folder),
        "threads": settings.torch_threads or usable_cores(),
        # Whichever GPU it is, it is the first one that the trainer sees: another attempt may get
        # another one, and still goes on from the same checkpoint.
        "device": FIRST_GPU if device.startswith(_GPU) else device,
        "max_pixels": settings.max_pixels,
        "max_file_bytes": settings.max_file_bytes,
    }


def _training(
    context: TrainerContext, lease: TrainingLease, options: TrainOptions
) -> dict[str, Any]:
    return {
        "kind": "train",
        "name": options.name,
        "preset": options.preset,
        "backbone": options.backbone,
        "config": _config(context.settings, options),
        "epochs": options.epochs,
        "max_seconds": _seconds_left(lease, options),
        "image_size": options.image_size,
        "batch_size": options.batch_size,
        "fractions": [1 - options.val - options.test, options.val, options.test],
        "group_by": options.group_by,
        "imbalance": options.imbalance,
        "augment": options.augment,
        **_start(context, lease),
    }


def _config(settings: Settings, options: TrainOptions) -> dict[str, Any]:
    """Return the knobs, with the path that a file has on this machine."""
    weights = options.config.get(WEIGHTS)
    if weights is None:
        return options.config
    return {**options.config, WEIGHTS: str(named_file(weights, settings))}


def _seconds_left(lease: TrainingLease, options: TrainOptions) -> float | None:
    """Return what the attempts before have left of the time for the whole training."""
    if options.max_seconds is None:
        return None
    return max(options.max_seconds - lease.spent_seconds, LEAST_SECONDS)


def _start(context: TrainerContext, lease: TrainingLease) -> dict[str, str]:
    if lease.model_version_id is None:
        return {"init": SCRATCH}
    version = get_version(context.engine, lease.model_version_id)
    if version.source == "builtin":  # the trainer has it itself
        return {"init": "imagenet"}
    return {"init_artifact": str(artifact_of(context, version)), "parent": version.ref}


def _learned(context: TrainerContext, lease: TrainingLease, folder: Path) -> dict[str, Any]:
    """Write down which pictures the model, or the one to start from, has learned from."""
    if lease.model_version_id is None:
        return {}
    version = get_version(context.engine, lease.model_version_id)
    try:
        learned = trained_on(context.engine, context.settings, version)
    except (OSError, ValueError) as error:  # a snapshot that is damaged
        _log.warning("lineage_unreadable", model=version.ref, error=str(error))
        return {"all_learned_known": False}
    path = folder / LEARNED_FILE
    path.write_text("".join(f"{digest.hex()}\n" for digest in sorted(learned.digests)))
    return {"learned": str(path), "all_learned_known": learned.complete}


def _version_id(lease: TrainingLease) -> int:
    assert lease.model_version_id is not None  # of an evaluate job
    return lease.model_version_id
