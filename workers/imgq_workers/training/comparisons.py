"""What a trainer is told to compare: two models, and pictures that the newer one never saw."""

import json
from pathlib import Path
from typing import Any

from imgq_db.errors import ModelNotFound
from imgq_db.models import get_version, resolve_model
from imgq_db.train_options import EvaluateOptions
from imgq_db.training.keeping import kept_pictures
from imgq_db.training.leases import TrainingLease
from imgq_db.training.lineage import TestPicture
from imgq_db.training.unseen import unseen_pictures
from imgq_workers.models import ModelUnloadable
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.parents import artifact_of

PICTURES_FILE = "pictures.jsonl"


def comparison_spec(
    context: TrainerContext, lease: TrainingLease, options: EvaluateOptions, folder: Path
) -> dict[str, Any]:
    """Return the part of the spec that is a comparison's own, and write the list of pictures.

    Raises ModelUnloadable, also if the champion was deleted meanwhile.
    """
    assert options.against is not None and lease.model_version_id is not None
    challenger = get_version(context.engine, lease.model_version_id)
    try:
        champion = resolve_model(context.engine, options.against)
    except ModelNotFound as error:
        raise ModelUnloadable(options.against, error) from error
    unseen = unseen_pictures(context.engine, context.settings, champion, challenger)
    pictures = folder / PICTURES_FILE
    root = kept_pictures(context.settings)
    pictures.write_text("".join(_line(each, root) for each in unseen.pictures))
    return {
        "kind": "compare",
        "root": str(root.absolute()),
        "champion": str(artifact_of(context, champion).absolute()),
        "challenger": str(artifact_of(context, challenger).absolute()),
        "pictures": str(pictures.absolute()),
        "notes": list(unseen.notes),
    }


def _line(picture: TestPicture, root: Path) -> str:
    assert picture.file is not None  # unseen pictures are kept ones
    row = {
        "path": picture.file.relative_to(root).as_posix(),
        "label": picture.label,
        "sha256": picture.digest.hex(),
    }
    return json.dumps(row) + "\n"
