"""Request ids: the client's where harmless, a new one else; on every reply."""

import pytest
from flask import Flask

GOOD = ["a", "0b1c", "trace-1.2:3_4", "x" * 64]
BAD = ["", "x" * 65, "with space", "semi;colon", "é", "-starts-with-dash"]


@pytest.mark.parametrize("given", GOOD)
def test_harmless_id_is_echoed(lonely_app: Flask, given: str) -> None:
    response = lonely_app.test_client().get("/healthz", headers={"X-Request-Id": given})

    assert response.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", BAD)
def test_other_id_is_replaced(lonely_app: Flask, given: str) -> None:
    response = lonely_app.test_client().get("/v1/none", headers={"X-Request-Id": given})

    assert response.headers["X-Request-Id"] != given
    assert response.json is not None
    assert response.json["request_id"] == response.headers["X-Request-Id"]
