"""Which workers are heard of, by the server's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from imgq_cli.formats import moment
from imgq_db.heartbeats import LIVE_SECONDS


def server_time(date: str | None) -> datetime:
    """Return what a Date header says; this machine's time if there was none."""
    return parsedate_to_datetime(date) if date else datetime.now(UTC)


def is_silent(worker: Mapping[str, Any], now: datetime) -> bool:
    """Tell whether a worker has missed its beats. now: the server's time."""
    seen_at = worker.get("seen_at")
    return seen_at is None or (now - moment(seen_at)).total_seconds() > LIVE_SECONDS
