"""Log lines: nothing that a stranger chose forges one, moves a cursor or opens a door."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from imgq_db.logs import configure_logs
from imgq_db.settings import Settings

KEY = "imgq_abcdefgh_" + "k" * 43
HOSTILE = "a\n2026-01-01 [error] forged\x1b[31m\x9b1m\u202e\u2028.jpg"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Give logging back as the other tests have it."""
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    level = logging.getLogger().level
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


@pytest.fixture(params=[False, True], ids=["lines", "json"])
def as_json(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logs(Settings(log_json=as_json), process="test")
    return stream


def test_a_hostile_name_stays_on_its_line_and_escaped(written: io.StringIO) -> None:
    structlog.get_logger().warning(HOSTILE, path=HOSTILE, tight=HOSTILE.replace(" ", ""))
    logging.getLogger("library").warning("of %s", HOSTILE)

    lines = written.getvalue().splitlines()
    assert len(lines) == 2
    assert [bad for bad in ("\x1b[31m", "\x9b", "\u202e") if bad in written.getvalue()] == []


def test_the_key_of_a_request_is_not_written(written: io.StringIO) -> None:
    structlog.get_logger().info("request", path=f"/v1/jobs/{KEY}")
    try:
        raise ValueError(KEY)
    except ValueError:
        structlog.get_logger().exception("failed")

    assert "k" * 43 not in written.getvalue()
    assert written.getvalue().count("imgq_abcdefgh_") >= 2


def test_a_traceback_keeps_its_lines(written: io.StringIO, as_json: bool) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        structlog.get_logger().exception("failed")

    text = json.loads(written.getvalue())["exception"] if as_json else written.getvalue()
    assert "Traceback (most recent call last):\n" in text
    assert "\x9b" not in text
