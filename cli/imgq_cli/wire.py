"""Requests and answers below the client: the key, the place, and bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from imgq_cli.errors import ServerUnreachable


def bearer(key: str | None) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return what signs a request with the key; requests go unsigned without one."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if key:
            request.headers["Authorization"] = f"Bearer {key}"
        return request

    return sign


def is_loopback(url: str) -> bool:
    """Tell whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def json_body(response: requests.Response) -> Any:
    """Return the JSON of an answer; None if it is something else."""
    try:
        return response.json()
    except ValueError:
        return None
    except requests.RequestException as error:
        raise ServerUnreachable("The connection broke in the middle of an answer.") from error


def body_pieces(response: requests.Response, url: str) -> Iterator[bytes]:
    """Give an answer's body in pieces, as they come."""
    try:
        yield from response.iter_content(1 << 16)
    except requests.RequestException as error:
        raise ServerUnreachable(
            f"The connection to {url} broke in the middle of the download."
        ) from error
