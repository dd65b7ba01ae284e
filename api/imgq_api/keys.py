"""/v1/keys: API keys. Only their hashes are stored."""

from flask import Blueprint, Response

from imgq_api.auth import needs
from imgq_api.openapi import Replies, spec
from imgq_api.rendering import key_fields, reply
from imgq_api.replies import KeyBody, KeysBody, NewKeyBody
from imgq_api.requests import KeyRequest
from imgq_api.services import services
from imgq_db.errors import KeyNotFound
from imgq_db.keys import Scope, list_keys, mint_key, revoke_key

bp = Blueprint("keys", __name__, url_prefix="/v1/keys")

TAGS = ("keys",)
LONGEST_PREFIX = 64


@bp.get("")
@needs(Scope.ADMIN)
@spec.validate(resp=Replies({200: KeysBody}, 401, 403), tags=TAGS, operation_id="listKeys")
def list_all() -> Response:
    """List the API keys, revoked ones too."""
    keys = [KeyBody(**key_fields(key)) for key in list_keys(services().engine)]
    return reply(KeysBody(items=keys, next_cursor=None))


@bp.post("")
@needs(Scope.ADMIN)
@spec.validate(
    resp=Replies({201: NewKeyBody}, 401, 403, 413, 415), tags=TAGS, operation_id="createKey"
)
def create(json: KeyRequest) -> Response:
    """Make an API key. The reply is the only place where its text ever stands."""
    key, text = mint_key(
        services().engine,
        name=json.name,
        scopes=frozenset(json.scopes),
        expires_at=json.expires_at,
    )
    return reply(NewKeyBody(**key_fields(key), key=text), 201, Cache_Control="no-store")


@bp.delete("/<prefix>")
@needs(Scope.ADMIN)
@spec.validate(resp=Replies({204: None}, 401, 403, 404), tags=TAGS, operation_id="revokeKey")
def revoke(prefix: str) -> Response:
    """Revoke an API key: it is refused from now on."""
    if not (prefix.isascii() and prefix.isalnum() and len(prefix) <= LONGEST_PREFIX):
        raise KeyNotFound(prefix)
    revoke_key(services().engine, prefix)
    return Response(status=204)
