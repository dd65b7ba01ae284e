"""The contract: every route stands in it, and the file in docs/ is the one that is served."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from imgq_api.openapi import document

CONTRACT = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture
def contract(lonely_app: Flask) -> dict[str, Any]:
    return document(lonely_app)


def operations(contract: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation for operations in contract["paths"].values() for operation in operations.values()
    ]


def test_every_route_is_documented(lonely_app: Flask, contract: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:[^:<>]*:)?([^<>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in lonely_app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    documented = {(path, method) for path, found in contract["paths"].items() for method in found}

    assert documented == routes


def test_stored_contract_is_the_served_one(contract: dict[str, Any]) -> None:
    assert json.loads(CONTRACT.read_text("utf-8")) == contract, (
        "run: python -m imgq_api openapi > docs/openapi.json"
    )


def test_every_error_is_a_problem_and_no_success_is(contract: dict[str, Any]) -> None:
    types = {
        (status >= "400", media)
        for operation in operations(contract)
        for status, reply in operation["responses"].items()
        for media in reply.get("content", {})
        if status >= "400" or media == "application/problem+json"
    }

    assert types == {(True, "application/problem+json")}


def test_schema_names_are_plain_words(contract: dict[str, Any]) -> None:
    names = contract["components"]["schemas"]

    assert [name for name in names if not re.fullmatch(r"[A-Z][A-Za-z]+", name)] == []


def test_every_reference_leads_somewhere(contract: dict[str, Any]) -> None:
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(contract)))

    assert wanted - set(contract["components"]["schemas"]) == set()


def test_every_operation_has_a_summary_and_its_own_id(contract: dict[str, Any]) -> None:
    found = operations(contract)

    assert all(operation["summary"].endswith(".") for operation in found)
    assert len({operation["operationId"] for operation in found}) == len(found)


def test_docs_page_refers_to_nothing_outside(lonely_app: Flask) -> None:
    response = lonely_app.test_client().get("/docs")
    page = response.get_data(as_text=True)
    shell = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.S)

    assert response.status_code == 200
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"(?!data:)[^\"]*\"", page) == []
    assert "http" not in re.sub(r"xmlns=%22http://www\.w3\.org/2000/svg%22", "", shell)
    assert "connect-src 'self'" in response.headers["Content-Security-Policy"]
