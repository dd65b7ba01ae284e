"""The id that names one request in replies and logs."""

import re

import uuid_utils
from flask import g, request

HEADER = "X-Request-Id"
_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)


def request_id() -> str:
    """Return the request's id: the client's where it is short and harmless, else a new one."""
    if "request_id" not in g:
        given = request.headers.get(HEADER, "")
        g.request_id = given if _ACCEPTED.fullmatch(given) else str(uuid_utils.uuid7())
    return str(g.request_id)
