"""`python -m imgq_db`: one JSON document on stdout, or one error on stderr."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.__main__ import main
from imgq_db.jobs import Job
from imgq_db.keys import Scope, authenticate, new_key_text
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.migrate import head_revision

Run = Callable[..., tuple[int, Any, str]]
ROWS = [
    LedgerRow(b"a", RowStatus.OK, 0, (0,), (1.0,)),
    LedgerRow(b"b", RowStatus.OK, 0, (0,), (1.0,)),
]


@pytest.fixture
def run(
    engine: Engine,
    module_database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.setenv("IMGQ_DATABASE_URL", module_database)

    def call(*arguments: str) -> tuple[int, Any, str]:
        status = main(arguments)
        captured = capsys.readouterr()
        return status, json.loads(captured.out or "null"), captured.err

    return call


@pytest.mark.parametrize("command", ["upgrade", "check"])
def test_the_schema_is_brought_up_to_date_and_checked(command: str, run: Run) -> None:
    assert run(command) == (0, {"revision": head_revision()}, "")


def test_a_sound_job_is_verified_and_a_broken_one_exits_1(
    run: Run, done: Callable[..., Job], execute: Callable[[str], None]
) -> None:
    job = done(*ROWS)
    status, report, _ = run("verify", str(job.uid))
    assert (status, report["ok"], report["job"]) == (0, True, str(job.uid))
    execute("DELETE FROM prediction WHERE image = 1")
    status, report, _ = run("verify", str(job.uid))
    assert (status, report["ok"]) == (1, False)


def test_an_unknown_job_is_an_error_with_a_hint(run: Run) -> None:
    uid = uuid4()
    wanted = f"Error: There is no job {uid}.\nTry:   imgq jobs lists the jobs.\n"
    assert run("verify", str(uid)) == (1, None, wanted)


def test_keys_are_minted_listed_and_revoked(run: Run, engine: Engine) -> None:
    _, minted, _ = run("keys", "mint", "--name", "ci", "--scope", "read", "--scope", "submit")
    assert authenticate(engine, minted["key"]).scopes == frozenset([Scope.READ, Scope.SUBMIT])
    shown = {field: minted[field] for field in ("prefix", "name", "scopes", "revoked")}
    assert run("keys", "list") == (0, {"items": [shown]}, "")
    assert run("keys", "revoke", minted["prefix"])[1] == {**shown, "revoked": True}
    assert run("keys", "revoke", "ffffffff")[0] == 1


def test_the_bootstrap_key_is_made_usable(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMGQ_BOOTSTRAP_KEY", raising=False)
    assert run("keys", "ensure")[0] == 1
    secret = new_key_text()
    monkeypatch.setenv("IMGQ_BOOTSTRAP_KEY", f"{secret}\n")
    status, shown, _ = run("keys", "ensure")
    assert (status, secret in str(shown)) == (0, False)
    assert authenticate(engine, secret).scopes == frozenset(Scope)


def test_a_database_that_is_away_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGQ_DATABASE_URL", "postgresql://imgq:hush@127.0.0.1:1/imgq")
    status, report, complaint = run("check")
    assert (status, report, len(complaint.splitlines())) == (1, None, 2)
    assert "hush" not in complaint
