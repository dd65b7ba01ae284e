"""Moving aliases: the gate before `champion`, and the way back.

The gate compares two models on pictures. That needs a trainer, so it is an evaluate job whose end
moves the alias or writes down why not; what can be told without pictures is told at once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from imgq_db.aliases import (
    Alias,
    Decision,
    NewChange,
    check_alias,
    get_alias,
    lock_model,
    version_of_alias,
    write_change,
)
from imgq_db.errors import ModelNotFound, NothingToRollBack, PromotionRefused
from imgq_db.jobs import JobKind, Priority, insert_job
from imgq_db.models import CHAMPION, FAILED, ModelVersion, get_model
from imgq_db.sources import REGISTRY_ROOT
from imgq_db.train_options import EvaluateOptions

NOT_COMPARED = "The models were not compared."

# Versions never change, so that what was found of two of them holds for ever.
_KNOWN = """
SELECT decision, reasons, counts, job_uid FROM alias_change
WHERE model_id = :model AND alias = :alias AND from_version = :champion
AND to_version = :challenger AND decision IN ('passed', 'refused')
AND coalesce(CAST(counts ->> 'conclusive' AS boolean), false)
ORDER BY id DESC LIMIT 1
"""
_OPEN = """
SELECT uid FROM job WHERE kind = 'evaluate' AND state IN ('queued', 'running')
AND model_version_id = :challenger AND options ->> 'alias' = :alias
AND options ->> 'against' = :champion ORDER BY id LIMIT 1
"""
# What brought the alias to a version; going back is no arrival.
_ARRIVAL = """
SELECT from_version FROM alias_change WHERE model_id = :model AND alias = :alias AND moved
AND to_version = :version AND decision <> 'rollback' ORDER BY id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class _Wish:
    alias: str
    force: bool
    key_id: int | None


def promote(
    engine: Engine, version: ModelVersion, alias: str, *, force: bool, key_id: int | None = None
) -> Alias:
    """Move an alias to a version, or begin the comparison that decides it: then `job` is set.

    Only `champion` has a gate. Its first version needs no comparison, but must not be one that its
    own training failed. force: move it now, and say so in the history.
    Raises PromotionRefused, which is written down too; ModelNotFound, AliasInvalid.
    """
    check_alias(alias)
    wish = _Wish(alias, force, key_id)
    with engine.begin() as connection:
        model = lock_model(connection, version.name)
        _check_there(connection, version)
        current = version_of_alias(connection, model, alias)
        if current == version.version:
            change, job = None, None
        else:
            change = _decide(connection, model, current, version, wish)
            job = None
            if change is not None:
                write_change(connection, model, change)
            else:
                job = _compare(connection, version, f"{version.name}:{current}", wish)
    if change is not None and not change.moves:
        raise PromotionRefused(version.ref, alias, change.reasons)
    return replace(get_alias(engine, version.name, alias), job=job)


def roll_back(
    engine: Engine, name: str, alias: str, *, from_version: int, key_id: int | None = None
) -> Alias:
    """Move an alias to the version that it meant before this one; again, to the one before that.

    from_version: what it means now. Another one: it is no step, so that asking twice is harmless.
    Raises ModelNotFound, NothingToRollBack, AliasInvalid.
    """
    check_alias(alias)
    there = {version.version for version in get_model(engine, name)}
    with engine.begin() as connection:
        model = lock_model(connection, name)
        current = version_of_alias(connection, model, alias)
        if current is None:
            raise ModelNotFound(f"{name}@{alias}")
        if current == from_version:
            before = _before(connection, model, alias, current, there)
            if before is None:
                raise NothingToRollBack(name, alias)
            change = NewChange(alias, current, before, Decision.ROLLBACK, key_id=key_id)
            write_change(connection, model, change)
    return get_alias(engine, name, alias)


def settle_promotion(
    connection: Connection,
    challenger: ModelVersion,
    options: EvaluateOptions,
    judged: Mapping[str, Any],
    job: UUID,
) -> NewChange:
    """Move an alias after a comparison, or not; return what was written down.

    judged: passed, reasons and counts. The alias stays if it meanwhile means another version than
    the one that was compared with.
    """
    assert options.alias is not None and options.against is not None
    model = lock_model(connection, challenger.name)
    champion = int(options.against.rpartition(":")[2])
    current = version_of_alias(connection, model, options.alias)
    change = NewChange(
        alias=options.alias,
        from_version=champion,
        to_version=challenger.version,
        decision=Decision.PASSED if judged["passed"] else Decision.REFUSED,
        reasons=tuple(judged["reasons"]),
        counts=judged["counts"],
        job=job,
        key_id=connection.execute(
            text("SELECT key_id FROM job WHERE uid = :job"), {"job": job}
        ).scalar(),
    )
    if current != champion:
        moved = f"{challenger.name}@{options.alias} became {challenger.name}:{current} meanwhile"
        why = f"{moved}; {challenger.ref} was compared with {options.against}."
        change = replace(change, decision=Decision.OUTDATED, reasons=(why,))
    write_change(connection, model, change)
    return change


def _decide(
    connection: Connection, model: int, current: int | None, version: ModelVersion, wish: _Wish
) -> NewChange | None:
    """Return what can be told without pictures; None: the models must be compared."""
    change = NewChange(wish.alias, current, version.version, Decision.UNGATED, key_id=wish.key_id)
    if wish.alias != CHAMPION:
        return change
    if current is None:
        against = _verdict_reasons(version)
        if not against:
            return replace(change, decision=Decision.FIRST)
        decision = Decision.FORCED if wish.force else Decision.REFUSED
        return replace(change, decision=decision, reasons=against)
    known = _known(connection, model, change)
    if known is not None and (known.moves or not wish.force):
        return known
    reasons = known.reasons if known else _label_reasons(connection, model, current, version)
    if wish.force:
        against = (*reasons, *_verdict_reasons(version))
        return replace(change, decision=Decision.FORCED, reasons=against or (NOT_COMPARED,))
    return replace(change, decision=Decision.REFUSED, reasons=reasons) if reasons else None


def _known(connection: Connection, model: int, change: NewChange) -> NewChange | None:
    row = connection.execute(
        text(_KNOWN),
        {
            "model": model,
            "alias": change.alias,
            "champion": change.from_version,
            "challenger": change.to_version,
        },
    ).first()
    if row is None:
        return None
    found = Decision(row.decision), tuple(row.reasons), row.counts, row.job_uid
    decision, reasons, counts, job = found
    return replace(change, decision=decision, reasons=reasons, counts=counts, job=job)


def _verdict_reasons(version: ModelVersion) -> tuple[str, ...]:
    if version.standing != FAILED:
        return ()
    return (f"The report of {version.ref} says not to use it.", *version.verdict[:1])


def _label_reasons(
    connection: Connection, model: int, current: int, version: ModelVersion
) -> tuple[str, ...]:
    champion: Sequence[str] = connection.execute(
        text("SELECT labels FROM model_version WHERE model_id = :model AND version = :version"),
        {"model": model, "version": current},
    ).scalar_one()
    missing = len(set(champion) - set(version.labels))
    extra = len(set(version.labels) - set(champion))
    if not missing and not extra:
        return ()
    return (
        f"The labels of {version.ref} are not those of {version.name}:{current}: it lacks"
        f" {missing} of them, and has {extra} of its own.",
    )


def _compare(connection: Connection, version: ModelVersion, champion: str, wish: _Wish) -> UUID:
    found: UUID | None = connection.execute(
        text(_OPEN), {"challenger": version.id, "alias": wish.alias, "champion": champion}
    ).scalar()
    if found is not None:
        return found
    options = EvaluateOptions(against=champion, alias=wish.alias)
    row = {
        "kind": JobKind.EVALUATE.value,
        "name": f"{version.ref} against {champion}",
        "source": f"{REGISTRY_ROOT}{champion}",
        "root": REGISTRY_ROOT,
        "model": version.id,
        "precision": "exact",
        "options": json.dumps(options.to_json()),
        "tags": "{}",
        "priority": Priority.HIGH.rank,
        "key_id": wish.key_id,
        "idempotency_key": None,
    }
    return insert_job(connection, row)


def _before(
    connection: Connection, model: int, alias: str, current: int, there: set[int]
) -> int | None:
    """Return the newest earlier version that was not deleted."""
    seen, version = {current}, current
    while True:
        keys = {"model": model, "alias": alias, "version": version}
        earlier: int | None = connection.execute(text(_ARRIVAL), keys).scalar()
        if earlier is None or earlier in seen:
            return None
        if earlier in there:
            return earlier
        seen.add(earlier)
        version = earlier


def _check_there(connection: Connection, version: ModelVersion) -> None:
    there = connection.execute(
        text("SELECT 1 FROM model_version WHERE id = :id"), {"id": version.id}
    ).first()
    if there is None:
        raise ModelNotFound(version.ref)
