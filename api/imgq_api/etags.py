"""Weak validators: the same body has the same tag, whoever computes it."""

import hashlib

from werkzeug.datastructures import ETags


def weak_etag(body: bytes) -> str:
    """Return the tag's text, without W/ and quotes."""
    return hashlib.sha256(body).hexdigest()[:32]


def is_fresh(etag: str, if_none_match: ETags) -> bool:
    """Tell whether the client has this body already."""
    return if_none_match.contains_weak(etag)
