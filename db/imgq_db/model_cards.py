"""What can be told of a version: the data it learnt from, and what it goes back to."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from imgq_db.artifacts import read_provenance
from imgq_db.models import ModelVersion
from imgq_db.settings import Settings
from imgq_db.training.datasets import DatasetSnapshot, get_dataset

_LINEAGE = """
WITH RECURSIVE line AS (
    SELECT id, model_id, version, parent_id, 0 AS step FROM model_version WHERE id = :id
    UNION ALL
    SELECT p.id, p.model_id, p.version, p.parent_id, line.step + 1
    FROM model_version p JOIN line ON p.id = line.parent_id)
SELECT m.name || ':' || line.version FROM line JOIN model m ON m.id = line.model_id
WHERE step > 0 ORDER BY step
"""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """lineage: the versions that it goes back to, the nearest first.

    provenance: what model.json says of its making; None if that file is not there.
    """

    version: ModelVersion
    lineage: tuple[str, ...]
    dataset: DatasetSnapshot | None
    provenance: dict[str, Any] | None


def model_card(engine: Engine, settings: Settings, version: ModelVersion) -> ModelCard:
    """Gather what a version's card says."""
    with engine.connect() as connection:
        found = connection.execute(text(_LINEAGE), {"id": version.id})
        lineage = tuple(found.scalars())
    dataset = get_dataset(engine, version.dataset) if version.dataset else None
    return ModelCard(version, lineage, dataset, read_provenance(settings, version))
