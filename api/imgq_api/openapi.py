"""Validation and documentation of every operation: SpecTree with imgq's errors and names."""

import functools
import json
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, TypeVar, cast

from flask import Flask, Request, make_response
from flask import Response as HttpResponse
from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import ErrorDetails
from spectree import Response, SecurityScheme, SpecTree
from spectree.models import SecureType, SecuritySchemeData
from spectree.plugins.base import Context
from spectree.plugins.flask_plugin import FlaskPlugin
from spectree.utils import get_multidict_items

from imgq_api.errors import (
    BodyMalformed,
    MediaTypeUnsupported,
    RequestInvalid,
)
from imgq_api.faults import body_fault, query_fault, unknown
from imgq_api.problems import MEDIA_TYPE, Problem
from imgq_api.services import services

View = TypeVar("View", bound=Callable[..., Any])
# Any operation can meet these; 422 is also what an unknown query parameter gets.
EVERYWHERE = (400, 422, 500, 503)

HEADERS: Mapping[str, str] = {
    "Idempotency-Key": "Kept 24 h: the same key and body again get the first reply again",
    "If-None-Match": "The ETag that the client has; 304 while it still holds",
    "Prefer": "wait=N: answer when the job changes, after N (at most 60) seconds at the latest",
}


class Replies(Response):
    """The documented replies of an operation: its own by status, and the problems it can meet."""

    def __init__(
        self,
        models: Mapping[int, type[BaseModel] | None],
        *problems: int,
        media: str = "application/json",
    ) -> None:
        self.media = media
        for status in (*EVERYWHERE, *problems):
            models = {**models, status: Problem}
        super().__init__(**{f"HTTP_{status}": model for status, model in models.items()})

    def generate_spec(self, naming_strategy: Callable[[Any], str] = str) -> dict[str, Any]:
        """Return the replies as OpenAPI, problems and files under their own media types."""
        replies = super().generate_spec(naming_strategy)
        for status, reply in replies.items():
            content = reply.get("content", {}).pop("application/json", None)
            if content is not None:
                reply["content"] = {MEDIA_TYPE if int(status) >= 400 else self.media: content}
            elif self.media != "application/json" and status == "200":
                reply["content"] = {self.media: {"schema": {"type": "string"}}}
        return dict(sorted(replies.items()))


class StrictPlugin(FlaskPlugin):
    """Flask plugin that raises imgq's errors, and leaves replies (streams too) as they are."""

    def request_validation(
        self, request: Request, query: Any, json: Any, form: Any, headers: Any, cookies: Any
    ) -> None:
        """Check query and body; unknown names are errors too."""
        request.context = Context(  # type: ignore[attr-defined]
            _read_query(request, query), _read_body(request, json), None, None, None
        )

    def validate_response(self, resp: Any, *_: Any) -> tuple[HttpResponse, None]:
        """Trust the views: their replies are built from the documented models."""
        return make_response(resp), None


def _read_query(request: Request, model: type[BaseModel] | None) -> BaseModel | None:
    if model is None:
        if request.args:
            raise RequestInvalid(tuple(unknown(f"?{name}") for name in request.args))
        return None
    try:
        return model.model_validate(get_multidict_items(request.args, model))
    except ValidationError as error:
        raise RequestInvalid(tuple(map(query_fault, _found(error)))) from error


def _read_body(request: Request, model: type[BaseModel] | None) -> BaseModel | None:
    if model is None:
        return None
    body = services().reading.read(request)
    if not body:
        body = b"{}"
    elif not request.is_json:
        raise MediaTypeUnsupported(request.mimetype)
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = _found(error)[0]
        if first["type"] == "json_invalid":
            raise BodyMalformed(first["msg"].removeprefix("Invalid JSON: ")) from error
        raise RequestInvalid(tuple(map(body_fault, _in_shape(model, _found(error))))) from error


def _in_shape(model: type[BaseModel], found: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out of each place the name of the shape, which the body itself does not hold."""
    if not issubclass(model, RootModel):
        return found
    for fault in found:
        fault["loc"] = fault["loc"][1:]
    return found


def _found(error: ValidationError) -> list[ErrorDetails]:
    # The input is left out: it may be long, or a secret.
    return error.errors(include_url=False, include_input=False)


spec = SpecTree(
    backend=StrictPlugin,
    validation_error_model=Problem,
    naming_strategy=lambda model: model.__name__,
    nested_naming_strategy=lambda _parent, child: child,
    title="imgq",
    version=version("imgq"),
    description="Distributed batch image classification that tells the truth about every file.",
    path="_spectree",
    mode="strict",
    security_schemes=[
        SecurityScheme(
            name="key",
            data=SecuritySchemeData(
                type=SecureType.HTTP,
                scheme="bearer",
                description="An API key: imgq_<prefix>_<secret>",
            ),
        )
    ],
    security={"key": []},
)


def sends(*names: str) -> Callable[[View], View]:
    """Document the request headers that a view reads."""

    def decorate(view: View) -> View:
        cast(Any, view).documented_headers = names
        return view

    return decorate


def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of the app."""
    with app.app_context():
        # A copy: SpecTree keeps its own, and can make it only once.
        found: dict[str, Any] = json.loads(json.dumps(spec.spec))
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            operation["parameters"] += _header_parameters(app, path, method)
            for parameter in operation["parameters"]:
                parameter["schema"].pop("description", None)
            operation.setdefault("security", found["security"])
            if not operation["description"]:
                del operation["description"]
    found.pop("security")
    schemas = found["components"]["schemas"]
    # A query's fields stand under the operation's parameters already.
    for name in [name for name in schemas if name.endswith("Query")]:
        del schemas[name]
    found["components"]["schemas"] = dict(sorted(schemas.items()))
    found["paths"] = dict(sorted(found["paths"].items()))
    return found


def _header_parameters(app: Flask, path: str, method: str) -> list[dict[str, Any]]:
    rule = next(
        rule
        for rule in app.url_map.iter_rules()
        if re.sub(r"<(?:[^:<>]*:)?([^<>]+)>", r"{\1}", rule.rule) == path
        and method.upper() in (rule.methods or ())
    )
    names = getattr(app.view_functions[rule.endpoint], "documented_headers", ())
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": HEADERS[name],
        }
        for name in names
    ]


@functools.cache
def docs_page(spec_url: str) -> str:
    """Return the Swagger page with its script and style inside: it loads nothing but the spec."""
    return spec.config.page_templates["swagger"].format(spec_url=spec_url)
