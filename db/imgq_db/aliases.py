"""Aliases: which version a name like birds@champion means, and how it came to that."""

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from imgq_db.errors import AliasInvalid, ModelNotFound
from imgq_db.models import NAME_PATTERN

#: So many changes are told, the newest.
HISTORY = 50


class Decision(StrEnum):
    """Why an alias moved, or did not."""

    UNGATED = "ungated"  # no gate stands before this alias
    FIRST = "first"  # there was none whose place it could take
    PASSED = "passed"  # the gate's answer
    REFUSED = "refused"  # the gate's answer
    FORCED = "forced"  # in spite of the gate, or without asking it
    ROLLBACK = "rollback"
    OUTDATED = "outdated"  # the alias moved while two models were compared


@dataclass(frozen=True, slots=True)
class AliasChange:
    """One request to move an alias. by: the API key's prefix. counts: what the gate counted."""

    changed_at: datetime.datetime
    by: str | None
    from_version: int | None
    to_version: int
    moved: bool
    decision: Decision
    reasons: tuple[str, ...]
    counts: Mapping[str, Any] | None
    job: UUID | None


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias. version: None before the first. job: compares two models for it right now."""

    name: str
    alias: str
    version: int | None
    history: tuple[AliasChange, ...]
    job: UUID | None = None


@dataclass(frozen=True, slots=True)
class NewChange:
    """What is written down about a request to move an alias."""

    alias: str
    from_version: int | None
    to_version: int
    decision: Decision
    reasons: tuple[str, ...] = ()
    counts: Mapping[str, Any] | None = None
    job: UUID | None = None
    key_id: int | None = None

    @property
    def moves(self) -> bool:
        return self.decision not in (Decision.REFUSED, Decision.OUTDATED)


_HISTORY = """
SELECT c.*, k.prefix FROM alias_change c LEFT JOIN api_key k ON k.id = c.key_id
WHERE c.model_id = :model AND c.alias = :alias ORDER BY c.id DESC LIMIT :limit
"""
_OPEN_COMPARISON = """
SELECT j.uid FROM job j JOIN model_version v ON v.id = j.model_version_id
WHERE v.model_id = :model AND j.kind = 'evaluate' AND j.options ->> 'alias' = :alias
AND j.state IN ('queued', 'running') ORDER BY j.id DESC LIMIT 1
"""
_INSERT_CHANGE = """
INSERT INTO alias_change (model_id, alias, key_id, from_version, to_version, moved, decision,
    reasons, counts, job_uid)
VALUES (:model, :alias, :key_id, :from_version, :to_version, :moved, :decision,
    CAST(:reasons AS jsonb), CAST(:counts AS jsonb), :job)
"""
_MOVE = """
INSERT INTO model_alias (model_id, alias, version) VALUES (:model, :alias, :to_version)
ON CONFLICT (model_id, alias) DO UPDATE SET version = excluded.version
"""


def check_alias(alias: str) -> None:
    """Raise AliasInvalid for what no alias can be called."""
    if NAME_PATTERN.fullmatch(alias) is None:
        raise AliasInvalid(alias)


def get_alias(engine: Engine, name: str, alias: str) -> Alias:
    """Return an alias with its newest changes. Raises ModelNotFound, AliasInvalid."""
    check_alias(alias)
    if NAME_PATTERN.fullmatch(name) is None:
        raise ModelNotFound(name)
    with engine.connect() as connection:
        model = connection.execute(
            text("SELECT id FROM model WHERE name = :name"), {"name": name}
        ).scalar()
        if model is None:
            raise ModelNotFound(name)
        keys = {"model": model, "alias": alias}
        version = version_of_alias(connection, model, alias)
        rows = connection.execute(text(_HISTORY), {**keys, "limit": HISTORY}).all()
        job = connection.execute(text(_OPEN_COMPARISON), keys).scalar()
    if version is None and not rows and job is None:
        raise ModelNotFound(f"{name}@{alias}")
    return Alias(name, alias, version, tuple(map(_change, rows)), job)


def lock_model(connection: Connection, name: str) -> int:
    """Return a model's id, and let nobody else move its aliases or delete its versions.

    Raises ModelNotFound.
    """
    model = connection.execute(
        text("SELECT id FROM model WHERE name = :name FOR UPDATE"), {"name": name}
    ).scalar()
    if model is None:
        raise ModelNotFound(name)
    return int(model)


def version_of_alias(connection: Connection, model: int, alias: str) -> int | None:
    """Return the number that an alias means now."""
    found = connection.execute(
        text("SELECT version FROM model_alias WHERE model_id = :model AND alias = :alias"),
        {"model": model, "alias": alias},
    ).scalar()
    return None if found is None else int(found)


def write_change(connection: Connection, model: int, change: NewChange) -> None:
    """Write a change down, and move the alias if it says so. The model's row is locked."""
    row = {
        "model": model,
        "alias": change.alias,
        "key_id": change.key_id,
        "from_version": change.from_version,
        "to_version": change.to_version,
        "moved": change.moves,
        "decision": change.decision.value,
        "reasons": json.dumps(change.reasons),
        "counts": None if change.counts is None else json.dumps(dict(change.counts)),
        "job": change.job,
    }
    connection.execute(text(_INSERT_CHANGE), row)
    if change.moves:
        connection.execute(text(_MOVE), row)


def _change(row: Any) -> AliasChange:
    return AliasChange(
        changed_at=row.changed_at,
        by=row.prefix,
        from_version=row.from_version,
        to_version=row.to_version,
        moved=row.moved,
        decision=Decision(row.decision),
        reasons=tuple(row.reasons),
        counts=row.counts,
        job=row.job_uid,
    )
