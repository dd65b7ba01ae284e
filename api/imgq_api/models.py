"""/v1/models: the registry."""

from flask import Blueprint, Response

from imgq_api.archives import MEDIA_TYPE, send_folder
from imgq_api.auth import caller, needs
from imgq_api.model_rendering import card_body, version_path
from imgq_api.model_replies import ExportBody, ModelCardBody
from imgq_api.model_requests import ArtifactQuery, ExportRequest
from imgq_api.openapi import Replies, sends, spec
from imgq_api.rendering import model_body, reply, version_body
from imgq_api.replies import ModelBody, ModelsBody
from imgq_api.reports import send_figures, send_page
from imgq_api.requests import ImportRequest
from imgq_api.services import services
from imgq_db.artifacts import artifact_folder, import_artifact
from imgq_db.deleting_versions import delete_version
from imgq_db.errors import ExportUnavailable, ModelNotFound
from imgq_db.exporting import ONNX, ask_export, exported
from imgq_db.jobs import JobKind
from imgq_db.keys import Scope
from imgq_db.model_cards import model_card
from imgq_db.models import NAME_PATTERN, ModelVersion, get_model, list_models, resolve_model
from imgq_db.queue import FIRST_BELL
from imgq_db.sources import source_folder
from imgq_db.training.reports import report_of_version

bp = Blueprint("models", __name__, url_prefix="/v1/models")

TAGS = ("models",)
VERSION = "/<name>/versions/<int(min=1,max=999999999):version>"


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
    return reply(model_body(get_model(services().engine, known(name))))


@bp.get(VERSION)
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: ModelCardBody}, 401, 403, 404), tags=TAGS, operation_id="getModelVersion"
)
def show_version(name: str, version: int) -> Response:
    """Show one version with all that is known of it."""
    found = find(name, version)
    return reply(card_body(model_card(services().engine, services().settings, found)))


@bp.delete(VERSION)
@needs(Scope.ADMIN)
@spec.validate(
    resp=Replies({204: None}, 401, 403, 404, 405, 409),
    tags=TAGS,
    operation_id="deleteModelVersion",
)
def delete(name: str, version: int) -> Response:
    """Delete a version that nothing needs. Its number is never given again."""
    delete_version(services().engine, services().settings, find(name, version))
    return Response(status=204)


@bp.get(f"{VERSION}/report")
@needs(Scope.READ)
@sends("If-None-Match")
@spec.validate(
    resp=Replies({200: None, 304: None}, 401, 403, 404, media="text/html"),
    tags=TAGS,
    operation_id="readModelReport",
)
def report(name: str, version: int) -> Response:
    """Show the report of a version's training as a page that loads and runs nothing."""
    found = find(name, version)
    return send_page(report_of_version(services().settings, found), found.ref)


@bp.get(f"{VERSION}/report.json")
@needs(Scope.READ)
@sends("If-None-Match")
@spec.validate(
    resp=Replies({200: None, 304: None}, 401, 403, 404),
    tags=TAGS,
    operation_id="readModelReportFigures",
)
def figures(name: str, version: int) -> Response:
    """Show every figure of the report."""
    found = find(name, version)
    return send_figures(report_of_version(services().settings, found), found.ref)


@bp.get(f"{VERSION}/report.tar")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: None}, 401, 403, 404, media=MEDIA_TYPE),
    tags=TAGS,
    operation_id="downloadModelReport",
)
def report_archive(name: str, version: int) -> Response:
    """Download the report with its figures and every plot."""
    found = find(name, version)
    folder = report_of_version(services().settings, found)
    return send_folder(folder, f"{found.name}-{found.version}-report")


@bp.get(f"{VERSION}/artifact")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: None}, 401, 403, 404, 409, media=MEDIA_TYPE),
    tags=TAGS,
    operation_id="downloadModel",
)
def artifact(name: str, version: int, query: ArtifactQuery) -> Response:
    """Download a version's files, as `imgq models import` takes them, or as they were exported."""
    found = find(name, version)
    if query.format == ONNX:
        folder = exported(services().settings, found, ONNX)
        return send_folder(folder, f"{found.name}-{found.version}-{ONNX}")
    folder = artifact_folder(services().settings, found.digest or "none")
    if not folder.is_dir():
        why = "its files are not in the data directory; the built-in model's are made at first use"
        hint = f"imgq submit-folder DIR --model {found.ref}"
        raise ExportUnavailable(found.ref, query.format, why, hint)
    return send_folder(folder, f"{found.name}-{found.version}")


@bp.post(f"{VERSION}/exports")
@needs(Scope.SUBMIT)
@spec.validate(
    resp=Replies({200: ExportBody, 202: ExportBody}, 401, 403, 404, 405, 409, 413, 415),
    tags=TAGS,
    operation_id="exportModel",
)
def export(name: str, version: int, json: ExportRequest) -> Response:
    """Let a trainer write a version in another format, and check it against the model.

    200 if it is there already: GET …/artifact?format=… downloads it.
    """
    found = find(name, version)
    body = ExportBody(ref=found.ref, format=json.format, job=None)
    try:
        exported(services().settings, found, json.format)
    except ExportUnavailable:
        job = ask_export(services().engine, found, json.format, key_id=caller().key_id)
        services().ring(FIRST_BELL[JobKind.EVALUATE])
        body.job = str(job)
        return reply(body, 202, Location=f"/v1/jobs/{job}", Retry_After="1")
    return reply(body)


@bp.post("/import")
@needs(Scope.ADMIN)
@spec.validate(
    resp=Replies({201: ModelCardBody}, 401, 403, 409, 413, 415),
    tags=TAGS,
    operation_id="importModel",
)
def import_version(json: ImportRequest) -> Response:
    """Register an artifact folder as a model's next version."""
    settings = services().settings
    folder = source_folder(json.source.uri, settings)
    version = import_artifact(services().engine, settings, json.name, folder)
    card = card_body(model_card(services().engine, settings, version))
    return reply(card, 201, Location=version_path(version))


def find(name: str, version: int) -> ModelVersion:
    """Return a version. Raises ModelNotFound."""
    return resolve_model(services().engine, f"{known(name)}:{version}")


def known(name: str) -> str:
    """Return a name that a model may have. Raises ModelNotFound."""
    if NAME_PATTERN.fullmatch(name) is None:
        raise ModelNotFound(name)
    return name
