"""/v1/models/{name}/aliases: which version a name means, and the gate before `champion`."""

from dataclasses import replace
from uuid import UUID

from flask import Blueprint, Response, request

from imgq_api.auth import caller, needs
from imgq_api.model_rendering import alias_body
from imgq_api.model_replies import AliasBody
from imgq_api.model_requests import AliasRequest, RollbackRequest
from imgq_api.models import find, known
from imgq_api.openapi import Replies, sends, spec
from imgq_api.rendering import reply
from imgq_api.services import services
from imgq_api.waiting import preferred_wait
from imgq_db import promotions
from imgq_db.aliases import Alias, get_alias
from imgq_db.errors import PromotionRefused
from imgq_db.jobs import JobKind, get_job
from imgq_db.keys import Scope
from imgq_db.models import ModelVersion
from imgq_db.queue import FIRST_BELL

bp = Blueprint("aliases", __name__, url_prefix="/v1/models/<name>/aliases")

TAGS = ("models",)


@bp.get("/<alias>")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: AliasBody}, 401, 403, 404), tags=TAGS, operation_id="getModelAlias"
)
def show(name: str, alias: str) -> Response:
    """Show an alias with its history."""
    return reply(alias_body(get_alias(services().engine, known(name), alias)))


@bp.put("/<alias>")
@needs(Scope.TRAIN)
@sends("Prefer")
@spec.validate(
    resp=Replies({200: AliasBody, 202: AliasBody}, 401, 403, 404, 409, 413, 415),
    tags=TAGS,
    operation_id="moveModelAlias",
)
def move(name: str, alias: str, json: AliasRequest) -> Response:
    """Let an alias mean a version. `champion` moves only through the gate.

    The gate compares two models on pictures: 202, and the job at Location ends with the alias
    moved, or not; Prefer: wait answers then. A refusal is a 409 with its reasons.
    """
    version = find(name, json.version)
    found = promotions.promote(
        services().engine, version, alias, force=json.force, key_id=caller().key_id
    )
    if found.job is None:
        return reply(alias_body(found))
    services().ring(FIRST_BELL[JobKind.EVALUATE])
    seconds = preferred_wait(request.headers.get("Prefer"))
    if seconds and _ends_within(found.job, seconds):
        return reply(alias_body(_settled(version, alias, found.job)))
    return reply(alias_body(found), 202, Location=f"/v1/jobs/{found.job}", Retry_After="1")


@bp.post("/<alias>/rollback")
@needs(Scope.TRAIN)
@spec.validate(
    resp=Replies({200: AliasBody}, 401, 403, 404, 409, 413, 415),
    tags=TAGS,
    operation_id="rollBackModelAlias",
)
def roll_back(name: str, alias: str, json: RollbackRequest) -> Response:
    """Let an alias mean again what it meant before."""
    found = promotions.roll_back(
        services().engine,
        known(name),
        alias,
        from_version=json.version,
        key_id=caller().key_id,
    )
    return reply(alias_body(found))


def _ends_within(job: UUID, seconds: float) -> bool:
    engine = services().engine

    def ended() -> bool:
        return get_job(engine, job).state.terminal

    services().waiting.wait_until(ended, seconds=seconds)
    return ended()


def _settled(version: ModelVersion, alias: str, job: UUID) -> Alias:
    """Return the alias after its comparison. Raises PromotionRefused."""
    found = get_alias(services().engine, version.name, alias)
    change = next((change for change in found.history if change.job == job), None)
    if change is None:
        ended = get_job(services().engine, job)
        why = ended.error.detail if ended.error else f"The comparison is {ended.state}."
        raise PromotionRefused(version.ref, alias, (why,))
    if not change.moved:
        raise PromotionRefused(version.ref, alias, change.reasons)
    return replace(found, job=None)
