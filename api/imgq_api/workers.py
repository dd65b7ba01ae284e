"""/v1/workers: who works, and on what."""

from flask import Blueprint, Response

from imgq_api.auth import needs
from imgq_api.openapi import Replies, spec
from imgq_api.rendering import reply, worker_body
from imgq_api.replies import WorkersBody
from imgq_api.services import services
from imgq_db.keys import Scope
from imgq_db.workers import list_workers

bp = Blueprint("workers", __name__, url_prefix="/v1/workers")


@bp.get("")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: WorkersBody}, 401, 403), tags=("workers",), operation_id="listWorkers"
)
def list_all() -> Response:
    """List the workers that were seen in the last minute."""
    workers = [worker_body(worker) for worker in list_workers(services().engine)]
    return reply(WorkersBody(items=workers, next_cursor=None))
