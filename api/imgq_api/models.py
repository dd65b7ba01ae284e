"""/v1/models: the registry."""

from flask import Blueprint, Response

from imgq_api.auth import needs
from imgq_api.openapi import Replies, spec
from imgq_api.rendering import model_body, reply, version_body, version_detail
from imgq_api.replies import ModelBody, ModelDetailBody, ModelsBody
from imgq_api.requests import ImportRequest
from imgq_api.services import services
from imgq_db.artifacts import import_artifact
from imgq_db.errors import ModelNotFound
from imgq_db.keys import Scope
from imgq_db.models import NAME_PATTERN, get_model, list_models, resolve_model
from imgq_db.sources import source_folder

bp = Blueprint("models", __name__, url_prefix="/v1/models")

TAGS = ("models",)


@bp.get("")
@needs(Scope.READ)
@spec.validate(resp=Replies({200: ModelsBody}, 401, 403), tags=TAGS, operation_id="listModels")
def list_all() -> Response:
    """List every version of every model, without their labels."""
    versions = [version_body(version) for version in list_models(services().engine)]
    return reply(ModelsBody(items=versions, next_cursor=None))


@bp.get("/<name>")
@needs(Scope.READ)
@spec.validate(resp=Replies({200: ModelBody}, 401, 403, 404), tags=TAGS, operation_id="getModel")
def show(name: str) -> Response:
    """Show a model with its versions."""
    return reply(model_body(get_model(services().engine, _known(name))))


@bp.get("/<name>/versions/<int(min=1,max=999999999):version>")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: ModelDetailBody}, 401, 403, 404), tags=TAGS, operation_id="getModelVersion"
)
def show_version(name: str, version: int) -> Response:
    """Show one version with its labels and preprocessing."""
    found = resolve_model(services().engine, f"{_known(name)}:{version}")
    return reply(version_detail(found))


@bp.post("/import")
@needs(Scope.ADMIN)
@spec.validate(
    resp=Replies({201: ModelDetailBody}, 401, 403, 409, 413, 415),
    tags=TAGS,
    operation_id="importModel",
)
def import_version(json: ImportRequest) -> Response:
    """Register an artifact folder as a model's next version."""
    settings = services().settings
    folder = source_folder(json.source.uri, settings)
    version = import_artifact(services().engine, settings, json.name, folder)
    url = f"/v1/models/{version.name}/versions/{version.version}"
    return reply(version_detail(version), 201, Location=url)


def _known(name: str) -> str:
    if NAME_PATTERN.fullmatch(name) is None:
        raise ModelNotFound(name)
    return name
