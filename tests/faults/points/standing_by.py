"""Parts of imgq that both the process that dies and the one that goes on are made of."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from imgq_db.settings import Settings
from imgq_db.sources import folder_uri

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from imgq_workers.listing import Lister
    from imgq_workers.training.context import TrainerContext

STANDIN = Path(__file__).parents[2] / "integration" / "training" / "standin.py"


def silent(queue: str) -> bool:
    """Ring no bell."""
    return True


def make_lister(engine: Engine, settings: Settings) -> "Lister":
    """Return what lists folders, one chunk at a time: a transaction each."""
    from imgq_workers import listing
    from imgq_workers.context import make_context

    listing.COMMIT_CHUNKS = 1
    return listing.Lister(make_context(settings, engine=engine, ring=silent))


def make_supervisor(engine: Engine, settings: Settings) -> "TrainerContext":
    """Return a supervisor whose trainer only says what a trainer says."""
    from imgq_workers.training.context import make_trainer_context

    return make_trainer_context(
        settings.model_copy(update={"device": "cpu"}),
        engine=engine,
        ring=silent,
        command=(sys.executable, str(STANDIN)),
    )


def post_job(engine: Engine, settings: Settings, folder: str, key: str) -> "TestResponse":
    """Send the request for a job to an API without keys, and with the queue's real bell."""
    from imgq_api.app import create_app

    keyless = settings.model_copy(update={"insecure": True})
    body = {"kind": "classify", "source": {"uri": folder_uri(Path(folder))}}
    client = create_app(keyless, engine=engine).test_client()
    return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key})
