"""What the promotion gate asks: a version's test pictures, and what a version was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, text

from imgq_db.models import ModelVersion
from imgq_db.settings import Settings
from imgq_db.training.datasets import SnapshotExample, read_examples
from imgq_db.training.keeping import DATASET_FILE, kept_dataset, kept_picture

#: Every version that a version was trained on from, itself first, with their datasets.
_ANCESTORS = """
WITH RECURSIVE line AS (
    SELECT id, parent_id, dataset_digest, source, 0 AS step FROM model_version WHERE id = :id
    UNION ALL
    SELECT p.id, p.parent_id, p.dataset_digest, p.source, line.step + 1
    FROM model_version p JOIN line ON p.id = line.parent_id)
SELECT source, dataset_digest FROM line ORDER BY step
"""


@dataclass(frozen=True, slots=True)
class TestPicture:
    """A picture of a version's test split. file: its bytes; None if they were not kept."""

    digest: bytes
    label: str
    path: str
    cluster: int
    file: Path | None


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """What a version, and every version that it goes back to, learnt from.

    digests: pictures that were trained or validated on, or that are near duplicates of such.
    complete: False if a dataset of its line is not known, as of an imported version: then nothing
    can be proved unseen. The built-in model's dataset, ImageNet, is left out of account.
    """

    digests: frozenset[bytes]
    complete: bool
    clusters: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def provably_unseen(self, digest: bytes) -> bool:
        """Tell whether a picture is surely none that it learnt from."""
        return self.complete and digest not in self.digests


def list_test_pictures(settings: Settings, version: ModelVersion) -> tuple[TestPicture, ...]:
    """Return a version's test pictures by path; empty without a dataset.

    Raises OSError if the snapshot is not in the data directory.
    """
    if version.dataset is None:
        return ()
    return tuple(
        _test_picture(settings, example)
        for example in read_examples(kept_dataset(settings, version.dataset))
        if example.split == "test"
    )


def trained_on(engine: Engine, settings: Settings, version: ModelVersion) -> TrainedOn:
    """Return what a version learnt from: training and validation, of its ancestors too.

    Takes some 200 bytes of memory for each picture.
    """
    with engine.connect() as connection:
        line = connection.execute(text(_ANCESTORS), {"id": version.id}).all()
    digests: set[bytes] = set()
    clusters: dict[str, frozenset[int]] = {}
    complete = True
    for source, dataset in line:
        folder = kept_dataset(settings, dataset) if dataset else None
        if folder is not None and (folder / DATASET_FILE).is_file():
            learnt = _learnt_clusters(folder)
            clusters[dataset] = learnt
            digests.update(each.digest for each in read_examples(folder) if each.cluster in learnt)
        elif source != "builtin":
            complete = False
    return TrainedOn(frozenset(digests), complete, clusters)


def _learnt_clusters(folder: Path) -> frozenset[int]:
    return frozenset(each.cluster for each in read_examples(folder) if each.split != "test")


def _test_picture(settings: Settings, example: SnapshotExample) -> TestPicture:
    file = kept_picture(settings, example.digest)
    return TestPicture(
        example.digest,
        example.label,
        example.path,
        example.cluster,
        file if file.is_file() else None,
    )
