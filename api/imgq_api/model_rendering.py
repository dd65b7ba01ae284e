"""How models and aliases become the bodies that clients read."""

from typing import Any

from imgq_api.model_replies import (
    AliasBody,
    AliasChangeBody,
    DatasetBody,
    ModelCardBody,
    ModelLinks,
)
from imgq_api.rendering import version_detail
from imgq_db.aliases import Alias, AliasChange
from imgq_db.model_cards import ModelCard
from imgq_db.models import ModelVersion
from imgq_db.training.datasets import DatasetSnapshot


def version_path(version: ModelVersion) -> str:
    """Return where a version is."""
    return f"/v1/models/{version.name}/versions/{version.version}"


def card_body(card: ModelCard) -> ModelCardBody:
    """Return all that is known of a version."""
    version, path = card.version, version_path(card.version)
    training = dict(version.training or {})
    verdict = training.pop("verdict", [])
    return ModelCardBody(
        **version_detail(version).model_dump(),
        lineage=list(card.lineage),
        dataset=_dataset(card.dataset) if card.dataset else None,
        training=training if version.training else None,
        verdict=verdict,
        provenance=card.provenance,
        job=str(version.job) if version.job else None,
        links=ModelLinks(
            self=path,
            artifact=f"{path}/artifact",
            report=f"{path}/report" if version.report else None,
        ),
    )


def alias_body(alias: Alias) -> AliasBody:
    """Return an alias with its history."""
    return AliasBody(
        name=alias.name,
        alias=alias.alias,
        version=alias.version,
        ref=None if alias.version is None else f"{alias.name}:{alias.version}",
        job=str(alias.job) if alias.job else None,
        history=[_change(change) for change in alias.history],
    )


def _dataset(dataset: DatasetSnapshot) -> DatasetBody:
    findings: dict[str, Any] = dataset.findings
    return DatasetBody(
        digest=dataset.digest,
        test_digest=dataset.test_digest,
        images=dataset.images,
        counts=dataset.counts,
        found={
            name: len(each)
            for name, each in findings.items()
            if isinstance(each, list) and name not in ("notes", "counts")
        },
        notes=[str(note) for note in findings.get("notes", ())],
    )


def _change(change: AliasChange) -> AliasChangeBody:
    return AliasChangeBody(
        changed_at=change.changed_at,
        by=change.by,
        from_version=change.from_version,
        to_version=change.to_version,
        moved=change.moved,
        decision=change.decision.value,
        reasons=list(change.reasons),
        counts=dict(change.counts) if change.counts is not None else None,
        job=str(change.job) if change.job else None,
    )
