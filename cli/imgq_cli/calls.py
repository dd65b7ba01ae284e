"""The REST calls, typed: one function for each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

from imgq_cli.client import Client
from imgq_cli.exports import unbroken
from imgq_cli.shapes import Epoch, Job, LogPage, Result, Summary, Worker

PAGE = 500
#: The server counts a very large job for up to 120 s.
SUMMARY_SECONDS = 130.0


def create_job(client: Client, body: Mapping[str, Any]) -> Job:
    """Submit a job; it may carry a `notice`."""
    job: Job = client.post("/v1/jobs", body).body
    return job


def get_job(client: Client, uid: str) -> Job:
    """Return one job."""
    job: Job = client.get(f"/v1/jobs/{uid}")
    return job


def iterate_jobs(
    client: Client, *, limit: int | None = None, filters: Mapping[str, Any] | None = None
) -> Iterator[Job]:
    """Give jobs, newest first, page by page."""
    yield from _items(client, "/v1/jobs", dict(filters or {}), limit)


def cancel_job(client: Client, uid: str) -> tuple[Job, bool]:
    """Ask for a job's end; the second value tells whether it had not ended yet."""
    reply = client.post(f"/v1/jobs/{uid}/cancel", {})
    return reply.body, reply.status == 202


def retry_job(client: Client, uid: str, *, only_failed: bool) -> Job:
    """Run a job again; the answer is the new job."""
    body = {"only": "failed"} if only_failed else {}
    job: Job = client.post(f"/v1/jobs/{uid}/retry", body).body
    return job


def delete_job(client: Client, uid: str) -> None:
    """Delete a job that has ended."""
    client.delete(f"/v1/jobs/{uid}")


def get_summary(client: Client, uid: str) -> Summary:
    """Return counts by label and by error code; a very large job takes a minute or two."""
    path = f"/v1/jobs/{uid}/summary"
    summary: Summary = client.get(path, answer_seconds=SUMMARY_SECONDS, repeats=False)
    return summary


def verify_job(client: Client, uid: str) -> dict[str, Any]:
    """Return every invariant of a job with the number of rows that break it."""
    path = f"/v1/jobs/{uid}/verification"
    verification: dict[str, Any] = client.get(path, answer_seconds=600)
    return verification


def get_epochs(client: Client, uid: str) -> list[Epoch]:
    """Return a training's epochs in the order they ended."""
    return list(_items(client, f"/v1/jobs/{uid}/epochs", {}, None))


def get_log(client: Client, uid: str, cursor: str | None) -> LogPage:
    """Return what a training said after the cursor; None: from the start."""
    params = {"limit": PAGE} | ({"cursor": cursor} if cursor else {})
    page: LogPage = client.get(f"/v1/jobs/{uid}/log", params)
    return page


def get_results(client: Client, uid: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return one page of results."""
    page: dict[str, Any] = client.get(f"/v1/jobs/{uid}/results", params)
    return page


def iterate_results(
    client: Client, uid: str, params: Mapping[str, Any], *, limit: int | None
) -> Iterator[Result]:
    """Give results in the order of the folder, page by page."""
    yield from _items(client, f"/v1/jobs/{uid}/results", dict(params), limit)


def stream_results(client: Client, uid: str) -> Iterator[Result]:
    """Give every result of a job in one streamed answer; memory stays flat."""
    with client.download(f"/v1/jobs/{uid}/results.jsonl") as pieces:
        rest = b""
        for piece in unbroken(pieces, "jsonl"):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                row = json.loads(line)
                if "path" in row:
                    yield row


def list_models(client: Client) -> list[dict[str, Any]]:
    """Return every model version."""
    return list(_items(client, "/v1/models", {}, None))


def get_model(client: Client, name: str, version: int) -> dict[str, Any]:
    """Return one model version."""
    model: dict[str, Any] = client.get(f"/v1/models/{quote(name, safe='')}/versions/{version}")
    return model


def import_model(client: Client, name: str, uri: str) -> dict[str, Any]:
    """Register the artifact in a folder that the server can read."""
    body = {"name": name, "source": {"uri": uri}}
    model: dict[str, Any] = client.post("/v1/models/import", body).body
    return model


def list_keys(client: Client) -> list[dict[str, Any]]:
    """Return the API keys, without their secrets."""
    return list(_items(client, "/v1/keys", {}, None))


def create_key(client: Client, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make an API key; its text is in `key`, this once."""
    key: dict[str, Any] = client.post("/v1/keys", body).body
    return key


def revoke_key(client: Client, prefix: str) -> None:
    """Refuse an API key from now on."""
    client.delete(f"/v1/keys/{quote(prefix, safe='')}")


def list_workers(client: Client) -> list[Worker]:
    """Return the workers that showed themselves lately."""
    return list(_items(client, "/v1/workers", {}, None))


def _items(client: Client, path: str, params: dict[str, Any], limit: int | None) -> Iterator[Any]:
    def pages() -> Iterator[Any]:
        asked = dict(params)
        while True:
            page = client.get(path, asked)
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            asked["cursor"] = page["next_cursor"]

    if path.startswith("/v1/jobs") and not path.endswith("/epochs"):
        params["limit"] = min(limit or PAGE, PAGE)
    return islice(pages(), limit)
