"""Dataset snapshots: the row, and the examples in the data directory."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from imgq_db.training.keeping import DATASET_FILE, FINDINGS_FILE

FORMAT = "imgq-dataset/1"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class DatasetSnapshot:
    """An immutable snapshot of a labelled folder.

    digest: sha256 of its JSONL, names its folder. test_digest: of its test split alone.
    counts: pictures by label and split. findings: what the scan found, as it wrote them.
    """

    digest: str
    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    findings: dict[str, Any]
    test_digest: str

    @property
    def images(self) -> int:
        return sum(sum(splits.values()) for splits in self.counts.values())


@dataclass(frozen=True, slots=True)
class SnapshotExample:
    """One picture of a snapshot. path: as text, see imgq_db.names. cluster: of near duplicates."""

    path: str
    label: str
    split: str
    digest: bytes
    cluster: int


def read_examples(folder: Path) -> Iterator[SnapshotExample]:
    """Yield a snapshot's examples in order. Raises OSError, ValueError if it cannot be read."""
    with (folder / DATASET_FILE).open("rb") as lines:
        _labels(lines.readline())
        for line in lines:
            row = json.loads(line)
            digest = bytes.fromhex(row["sha256"])
            yield SnapshotExample(
                row["path"], row["label"], row["split"], digest, int(row["cluster"])
            )


def read_snapshot(folder: Path) -> DatasetSnapshot:
    """Return what the registry keeps of a snapshot. Raises OSError, ValueError."""
    with (folder / DATASET_FILE).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        labels = _labels(file.readline())
    counts = {label: dict.fromkeys(SPLITS, 0) for label in labels}
    tested = []
    for example in read_examples(folder):
        counts[example.label][example.split] += 1
        if example.split == "test":
            tested.append(f"{example.digest.hex()} {example.label}\n")
    return DatasetSnapshot(
        digest=digest,
        labels=labels,
        counts=counts,
        findings=json.loads((folder / FINDINGS_FILE).read_bytes()),
        test_digest=hashlib.sha256("".join(sorted(tested)).encode()).hexdigest(),
    )


def _labels(head: bytes) -> tuple[str, ...]:
    row = json.loads(head)
    if not isinstance(row, dict) or row.get("format") != FORMAT:
        raise ValueError(f"the dataset's format is not {FORMAT}")
    return tuple(row["labels"])


def insert_dataset(connection: Connection, dataset: DatasetSnapshot) -> None:
    """Insert a snapshot's row, or lock the one that is there: nobody may sweep it up now."""
    connection.execute(
        text(
            "INSERT INTO dataset (digest, test_digest, labels, counts, findings, images)"
            " VALUES (:digest, :test_digest, CAST(:labels AS jsonb), CAST(:counts AS jsonb),"
            " CAST(:findings AS jsonb), :images) ON CONFLICT (digest) DO UPDATE"
            " SET images = excluded.images"
        ),
        {
            "digest": dataset.digest,
            "test_digest": dataset.test_digest,
            "labels": json.dumps(dataset.labels),
            "counts": json.dumps(dataset.counts),
            "findings": json.dumps(dataset.findings),
            "images": dataset.images,
        },
    )


def get_dataset(engine: Engine, digest: str) -> DatasetSnapshot | None:
    """Return a registered snapshot, None if there is none."""
    with engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT digest, labels, counts, findings, test_digest FROM dataset"
                " WHERE digest = :digest"
            ),
            {"digest": digest},
        ).first()
    if row is None:
        return None
    return DatasetSnapshot(row.digest, tuple(row.labels), row.counts, row.findings, row.test_digest)
