"""The way to the next page, as a header."""

from urllib.parse import urlencode

from flask import Response, request


def link_next(response: Response, cursor: str | None) -> Response:
    """Link a page to the one after it; cursor None: it is the last."""
    if cursor is not None:
        same = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
        url = f"{request.path}?{urlencode([*same, ('cursor', cursor)])}"
        response.headers["Link"] = f'<{url}>; rel="next"'
    return response
