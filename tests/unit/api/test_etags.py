"""Weak validators."""

from werkzeug.http import parse_etags

from imgq_api.etags import is_fresh, weak_etag


def test_same_body_has_the_same_tag() -> None:
    assert weak_etag(b"{}") == weak_etag(b"{}")
    assert weak_etag(b"{}") != weak_etag(b"{ }")


def test_client_that_has_the_body_is_fresh() -> None:
    tag = weak_etag(b"{}")

    assert is_fresh(tag, parse_etags(f'"other", W/"{tag}"'))
    assert is_fresh(tag, parse_etags("*"))
    assert not is_fresh(tag, parse_etags('W/"other"'))
