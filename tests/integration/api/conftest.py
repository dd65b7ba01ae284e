"""An app on the real database, with a bell that only remembers, and keys for each scope."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from imgq_api.app import create_app
from imgq_db.jobs import Job, NewJob, create_job, get_job
from imgq_db.keys import Scope, mint_key
from imgq_db.ledger import LedgerRow, RowStatus, write_rows
from imgq_db.options import ClassifyOptions
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri


@dataclass
class FakeRing:
    """A bell that remembers who was rung. broken: as if Redis were away."""

    broken: bool = False
    rung: list[str] = field(default_factory=list)

    def __call__(self, queue: str) -> bool:
        self.rung.append(queue)
        return not self.broken


@dataclass(frozen=True)
class Api:
    """A client that sends one key, or none."""

    client: FlaskClient
    key: str | None

    def __call__(self, method: str, path: str, **options: object) -> TestResponse:
        headers = dict(options.pop("headers", {}) or {})  # type: ignore[call-overload]
        if self.key is not None:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        return self.client.open(path, method=method, headers=headers, **options)  # type: ignore[arg-type]


@pytest.fixture
def ring() -> FakeRing:
    return FakeRing()


@pytest.fixture
def app(settings: Settings, engine: Engine, ring: FakeRing) -> Flask:
    return create_app(settings, engine=engine, ring=ring)


@pytest.fixture
def api_with(app: Flask, engine: Engine) -> Callable[..., Api]:
    """Give a client whose key has these scopes."""

    def make(*scopes: Scope) -> Api:
        _, key = mint_key(engine, name="test", scopes=scopes)
        return Api(app.test_client(), key)

    return make


@pytest.fixture
def api(api_with: Callable[..., Api]) -> Api:
    return api_with(Scope.ADMIN)


@pytest.fixture
def anonymous(app: Flask) -> Api:
    return Api(app.test_client(), None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


@pytest.fixture
def new_job(folder: Path) -> dict[str, object]:
    """The body of a job that the server accepts."""
    return {"kind": "classify", "source": {"uri": folder_uri(folder)}}


@pytest.fixture
def job(engine: Engine, settings: Settings, folder: Path) -> Job:
    return create_job(engine, settings, NewJob(source=folder_uri(folder)))


@pytest.fixture
def set_state(engine: Engine) -> Callable[[Job, str], None]:
    """Put a job into a state, as if workers had been there."""

    def put(job: Job, state: str) -> None:
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE job SET state = :state WHERE id = :id"), {"state": state, "id": job.id}
            )

    return put


LABELS = ("tabby", "espresso", "daisy")
ROWS = (
    LedgerRow(
        path=b"a.jpg",
        status=RowStatus.OK,
        label=0,
        top_labels=(0, 2),
        top_scores=(0.75, 0.25),
        digest=b"\x01" * 32,
        cached=True,
    ),
    LedgerRow(
        path=b"b,\n\xff.jpg",
        status=RowStatus.OK,
        label=1,
        top_labels=(1, 0),
        top_scores=(0.5, 0.25),
    ),
    LedgerRow(path=b"c.jpg", status=RowStatus.OK, top_labels=(2, 1), top_scores=(0.25, 0.125)),
    LedgerRow(
        path=b"d.jpg", status=RowStatus.FAILED, error_code="truncated", error_detail="cut short"
    ),
    LedgerRow(path=b"notes.txt", status=RowStatus.SKIPPED, error_code="not_an_image"),
)


@pytest.fixture
def finished_job(engine: Engine, settings: Settings, folder: Path) -> Job:
    """A job with five rows: sure, less sure, unsure, failed and skipped."""
    options = ClassifyOptions(top_k=2, min_confidence=0.3, precision="exact")
    made = create_job(engine, settings, NewJob(source=folder_uri(folder), options=options))
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE model_version SET labels = CAST(:labels AS jsonb)"),
            {"labels": json.dumps(LABELS)},
        )
        write_rows(connection, job_id=made.id, chunk_id=1, token=1, first_image=0, rows=ROWS)
        connection.execute(
            text(
                "UPDATE job SET state = 'succeeded', ok = 3, failed = 1, skipped = 1, cached = 1,"
                " listed_images = 5, listed_at = imgq_now(), started_at = imgq_now(),"
                " finished_at = imgq_now() WHERE id = :id"
            ),
            {"id": made.id},
        )
    return get_job(engine, made.uid)


@pytest.fixture
def unknown_id() -> uuid.UUID:
    return uuid.UUID("01932e4f-0000-7000-8000-000000000000")
