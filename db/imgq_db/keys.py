"""API keys: minted, shown once, stored as a hash."""

import datetime
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, text

from imgq_db.errors import KeyInvalid, KeyNotFound

_TEXT = re.compile(r"imgq_(?P<prefix>[A-Za-z0-9]{8,16})_(?P<secret>[A-Za-z0-9_-]{32,128})")


class Scope(StrEnum):
    """What a key may do. admin may do everything."""

    READ = "read"
    SUBMIT = "submit"
    TRAIN = "train"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    id: int
    prefix: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    last_used_at: datetime.datetime | None
    revoked_at: datetime.datetime | None

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


_INSERT = (
    "INSERT INTO api_key (prefix, secret_sha256, name, scopes, expires_at)"
    " VALUES (:prefix, :digest, :name, :scopes, :expires_at)"
)
_COLUMNS = "id, prefix, name, scopes, created_at, expires_at, last_used_at, revoked_at"


def new_key_text() -> str:
    """Return a new random key, 256 bits: imgq_<prefix>_<secret>."""
    return f"imgq_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def mint_key(
    engine: Engine,
    *,
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime.datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key. The text is returned here and never again."""
    scopes = frozenset(scopes)
    while True:
        key = new_key_text()
        with engine.begin() as connection:
            row = connection.execute(
                text(f"{_INSERT} ON CONFLICT (prefix) DO NOTHING RETURNING {_COLUMNS}"),
                _values(key, name, scopes, expires_at),
            ).first()
        if row is not None:  # else another key has this prefix: draw again
            return _key(row), key


def ensure_key(
    engine: Engine,
    key: str,
    *,
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime.datetime | None = None,
) -> ApiKey:
    """Make a key known, such as one from a secret file; twice does no harm.

    One that was revoked stays revoked.

    Raises KeyInvalid for a text that is no key.
    """
    with engine.begin() as connection:
        row = connection.execute(
            text(
                f"{_INSERT} ON CONFLICT (prefix) DO UPDATE SET"
                " secret_sha256 = excluded.secret_sha256, scopes = excluded.scopes,"
                f" expires_at = excluded.expires_at RETURNING {_COLUMNS}"
            ),
            _values(key, name, scopes, expires_at),
        ).one()
    return _key(row)


def _values(
    key: str, name: str, scopes: Iterable[Scope], expires_at: datetime.datetime | None
) -> dict[str, Any]:
    prefix, digest = _parse(key)
    return {
        "prefix": prefix,
        "digest": digest,
        "name": name,
        "scopes": sorted(scope.value for scope in scopes),
        "expires_at": expires_at,
    }


def authenticate(engine: Engine, key: str) -> ApiKey:
    """Return the key that a request carries. Raises KeyInvalid."""
    prefix, digest = _parse(key)
    with engine.begin() as connection:
        row = connection.execute(
            text(
                f"SELECT {_COLUMNS}, secret_sha256, expires_at <= imgq_now() AS expired,"
                " coalesce(last_used_at < imgq_now() - interval '1 minute', true) AS stale"
                " FROM api_key WHERE prefix = :prefix"
            ),
            {"prefix": prefix},
        ).first()
        if row is None or not hmac.compare_digest(bytes(row.secret_sha256), digest):
            raise KeyInvalid
        if row.revoked_at is not None:
            raise KeyInvalid("was revoked")
        if row.expired:
            raise KeyInvalid("has expired")
        if row.stale:
            connection.execute(
                text("UPDATE api_key SET last_used_at = imgq_now() WHERE id = :id"), {"id": row.id}
            )
    return _key(row)


def list_keys(engine: Engine) -> tuple[ApiKey, ...]:
    """Return every key, the revoked ones included, oldest first."""
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT {_COLUMNS} FROM api_key ORDER BY id"))
        return tuple(_key(row) for row in rows)


def revoke_key(engine: Engine, prefix: str) -> ApiKey:
    """End a key for good. Raises KeyNotFound."""
    with engine.begin() as connection:
        row = connection.execute(
            text(
                "UPDATE api_key SET revoked_at = coalesce(revoked_at, imgq_now())"
                f" WHERE prefix = :prefix RETURNING {_COLUMNS}"
            ),
            {"prefix": prefix},
        ).first()
    if row is None:
        raise KeyNotFound(prefix)
    return _key(row)


def _parse(key: str) -> tuple[str, bytes]:
    match = _TEXT.fullmatch(key)
    if match is None:
        raise KeyInvalid("is not of the form imgq_<prefix>_<secret>")
    return match["prefix"], hashlib.sha256(match["secret"].encode()).digest()


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        prefix=row.prefix,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
