"""Who asks: API keys as bearer tokens, and the scopes that they carry."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, cast
from urllib.parse import urlsplit

from flask import Response, g, request
from flask_httpauth import HTTPTokenAuth

from imgq_api.errors import ForeignPage, KeyMissing, ScopeMissing
from imgq_api.limits import count_failed_key
from imgq_api.services import is_loopback, services
from imgq_db.errors import KeyInvalid
from imgq_db.keys import Scope, authenticate

P = ParamSpec("P")

auth = HTTPTokenAuth(scheme="Bearer", realm="imgq")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent the request. key_id is None on a server without keys."""

    key_id: int | None
    scopes: frozenset[Scope]


ANYBODY = Caller(key_id=None, scopes=frozenset(Scope))


def caller() -> Caller:
    """Return who sent this request; only inside a view that needs a scope."""
    return cast(Caller, g.caller)


def require(scope: Scope) -> None:
    """Raise ScopeMissing unless this request's caller has the scope, or admin."""
    if caller().scopes.isdisjoint((scope, Scope.ADMIN)):
        raise ScopeMissing(scope.value)


def needs(*scopes: Scope) -> Callable[[Callable[P, Response]], Callable[P, Response]]:
    """Let only callers with one of the scopes reach a view. `admin` implies every scope."""

    def decorate(view: Callable[P, Response]) -> Callable[P, Response]:
        @wraps(view)
        def known(*args: P.args, **kwargs: P.kwargs) -> Response:
            g.caller = auth.current_user()
            return view(*args, **kwargs)

        guarded = auth.login_required(role=[scope.value for scope in scopes])(known)

        @wraps(view)
        def entry(*args: P.args, **kwargs: P.kwargs) -> Response:
            if services().settings.insecure:
                _refuse_foreign_pages()
                g.caller = ANYBODY
                return view(*args, **kwargs)
            g.needed_scope = scopes[0]
            return cast(Response, guarded(*args, **kwargs))

        return entry

    return decorate


@auth.verify_token  # type: ignore[untyped-decorator]
def _caller_of(token: str) -> Caller:
    try:
        key = authenticate(services().engine, token)
    except KeyInvalid:
        count_failed_key()
        raise
    return Caller(key.id, key.scopes)


@auth.get_user_roles  # type: ignore[untyped-decorator]
def _roles_of(who: Caller) -> list[str]:
    held = frozenset(Scope) if Scope.ADMIN in who.scopes else who.scopes
    return [scope.value for scope in held]


@auth.error_handler  # type: ignore[untyped-decorator]
def _refuse(status: int) -> Response:
    if status == 403:
        raise ScopeMissing(g.needed_scope.value)
    count_failed_key()
    raise KeyMissing


def _refuse_foreign_pages() -> None:
    # Without keys, a page of any site open in the user's browser could reach this port, by
    # address or by a name of its own that was made to mean this machine.
    site = request.headers.get("Sec-Fetch-Site", "none")
    host = urlsplit(f"//{request.host}").hostname or ""
    if site not in ("none", "same-origin") or not is_loopback(host):
        raise ForeignPage
