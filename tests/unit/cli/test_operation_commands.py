"""`imgq models`, `workers`, `keys`, `config`, and the commands that become another process."""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from imgq_cli.commands.worker import command as worker
from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer
from imgq_cli.stack.orphans import ourselves
from imgq_cli.stack.state import State, StateFile
from imgq_db.settings import Settings

Imgq = Callable[..., Result]
UID = "01997c5e-0000-7000-8000-00000abcdef1"


def version(number: int, *aliases: str) -> dict[str, Any]:
    return {
        "ref": f"birds:{number}",
        "name": "birds",
        "version": number,
        "aliases": list(aliases),
        "architecture": "tf_efficientnet_lite0",
        "classes": 2,
        "source": "import",
        "digest": "00ff",
        "metrics": {"macro_f1": 0.9},
        "created_at": "2026-11-01T10:00:00Z",
        "labels": ["jay", "wren"],
        "preprocessing": {"crop": 224},
    }


@pytest.fixture
def registry(server: FakeServer) -> FakeServer:
    versions = [version(3), version(2, "champion"), version(1)]
    server.on("GET", "/v1/models", Answer({"items": versions, "next_cursor": None}))
    for one in versions:
        server.on("GET", f"/v1/models/birds/versions/{one['version']}", Answer(one))
    return server


def test_models_list_shows_every_version(registry: FakeServer, imgq: Imgq) -> None:
    lines = imgq("models", "list").stdout.splitlines()

    assert [line.split()[0] for line in lines[1:]] == ["birds:3", "birds:2", "birds:1"]


@pytest.mark.parametrize(
    ("ref", "wanted"), [("birds", 2), ("birds:3", 3), ("birds@champion", 2), ("birds:1", 1)]
)
def test_models_show_finds_the_version(
    registry: FakeServer, imgq: Imgq, ref: str, wanted: int
) -> None:
    shown = imgq("models", "show", ref, "--json").stdout

    assert json.loads(shown)["version"] == wanted


@pytest.mark.parametrize("ref", ["cats", "birds@none", "birds:9", "birds:x"])
def test_a_model_that_is_not_there_is_exit_5(registry: FakeServer, imgq: Imgq, ref: str) -> None:
    assert imgq("models", "show", ref).exit_code == Exit.NOT_FOUND


def test_models_import_names_the_folder(registry: FakeServer, imgq: Imgq, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    registry.on("POST", "/v1/models/import", Answer(version(4), 201))

    result = imgq("models", "import", tmp_path, "--name", "birds", "--by-reference")

    assert result.stdout == "birds:4\n"
    body = {"name": "birds", "source": {"uri": f"file://{tmp_path}"}}
    assert registry.requests[0].body == body


def test_models_import_of_another_folder_is_refused_at_once(
    server: FakeServer, imgq: Imgq, tmp_path: Path
) -> None:
    result = imgq("models", "import", tmp_path, "--name", "birds", "--by-reference")

    assert (result.exit_code, server.requests) == (Exit.USAGE, [])
    assert "There is no model.json" in result.stderr


@pytest.mark.parametrize(
    ("second", "state"), [(14, ["busy", "0abcdef1", "1", "234"]), (16, ["silent", "0abcdef1", "–"])]
)
def test_workers_are_shown_with_their_work(
    server: FakeServer, imgq: Imgq, second: int, state: list[str]
) -> None:
    row = {
        "id": "w",
        "host": "node1",
        "pid": 7,
        "device": "cuda:0",
        "state": "busy",
        "job": UID,
        "images_per_second": 1234.0,
        "started_at": "2026-11-01T10:00:00Z",
        "seen_at": "2026-11-01T10:00:00Z",
        "roots": [],
    }
    date = {"Date": f"Sun, 01 Nov 2026 10:00:{second} GMT"}
    server.on("GET", "/v1/workers", Answer({"items": [row], "next_cursor": None}, headers=date))

    line = imgq("workers").stdout.splitlines()[1].split()

    assert line[: 2 + len(state)] == ["node1:7", "cuda:0", *state]


def test_no_worker_is_said_and_how_to_start_one(server: FakeServer, imgq: Imgq) -> None:
    server.on("GET", "/v1/workers", Answer({"items": [], "next_cursor": None}))

    assert "imgq worker" in imgq("workers").stderr


def test_keys_create_prints_only_the_key_on_stdout(server: FakeServer, imgq: Imgq) -> None:
    key = {"key": "imgq_cd_x", "prefix": "cd", "scopes": ["read"]}
    server.on("POST", "/v1/keys", Answer(key, 201))

    result = imgq("keys", "create", "--name", "ci", "--scope", "read")

    assert result.stdout == "imgq_cd_x\n"
    assert server.requests[0].body == {"name": "ci", "scopes": ["read"], "expires_at": None}


@pytest.mark.parametrize("text", ["0s", "0", "9999999d", "9" * 400 + "d"])
def test_a_key_that_would_never_be_valid_is_not_made(
    server: FakeServer, imgq: Imgq, text: str
) -> None:
    result = imgq("keys", "create", "--name", "ci", "--expires-in", text)

    assert (result.exit_code, server.requests) == (Exit.USAGE, [])
    assert "Try: --expires-in 90d" in result.stderr


def test_a_key_may_expire_soon(server: FakeServer, imgq: Imgq) -> None:
    server.on("POST", "/v1/keys", Answer({"key": "k", "prefix": "cd", "scopes": []}, 201))

    imgq("keys", "create", "--name", "ci", "--expires-in", "90s")

    expires_at = datetime.fromisoformat(server.requests[0].body["expires_at"])
    assert 80 < (expires_at - datetime.now(UTC)).total_seconds() <= 90


def test_keys_list_shows_which_are_revoked(server: FakeServer, imgq: Imgq) -> None:
    key = {
        "prefix": "cd",
        "name": "ci",
        "scopes": ["read"],
        "created_at": "2026-11-01T10:00:00Z",
        "expires_at": None,
        "last_used_at": None,
        "revoked_at": "2026-11-01T10:00:00Z",
    }
    server.on("GET", "/v1/keys", Answer({"items": [key], "next_cursor": None}))

    assert imgq("keys", "list").stdout.splitlines()[1].split() == [
        "cd",
        "ci",
        "read",
        "–",
        "revoked",
    ]


def test_keys_revoke_names_the_key(server: FakeServer, imgq: Imgq) -> None:
    server.on("DELETE", "/v1/keys/cd", Answer(status=204))

    assert imgq("keys", "revoke", "cd").exit_code == Exit.OK


def test_config_tells_where_a_value_comes_from_and_hides_secrets(imgq: Imgq) -> None:
    Path("imgq.toml").write_text("port = 9000\n")

    rows = json.loads(imgq("config", "show", "--origin", "--json").stdout)["items"]

    found = {row["name"]: (row["value"], row["origin"]) for row in rows}
    assert found["port"] == ("9000", "imgq.toml")
    assert found["server"] == ("http://imgq.test:8765", "environment")
    assert found["lease_seconds"][1] == "default"
    assert "secret" not in found["api_key"][0]


@pytest.mark.parametrize("runs", [True, False])
def test_config_beside_a_running_stack_says_that_the_stack_has_its_own(
    imgq: Imgq, tmp_path: Path, runs: bool
) -> None:
    if runs:
        (tmp_path / "home").mkdir()
        state = State(supervisor=ourselves(), url="http://127.0.0.1:8765")
        StateFile(tmp_path / "home/state.json", state)

    result = imgq("config", "show", "--json")

    said = (
        "The running local stack (http://127.0.0.1:8765) uses its own database, queue and "
        "folders.\n"
    )
    assert (result.stderr, "items" in json.loads(result.stdout)) == (said if runs else "", True)


class Became(Exception):
    """Stands for the process that this one would have become."""


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What os.execve was called with: the arguments after `-m`, and the settings given."""
    calls: list[Any] = []

    def execve(program: str, arguments: list[str], environment: dict[str, str]) -> None:
        assert arguments[:2] == [program, "-m"] == [sys.executable, "-m"]
        given = {k: v for k, v in environment.items() if os.environ.get(k) != v}
        calls.append((arguments[2:], given))
        raise Became

    monkeypatch.setattr(os, "execve", execve)
    return calls


@pytest.mark.parametrize(
    ("typed", "program", "settings"),
    [
        ("api --port 9000 --insecure", "imgq_api", {"IMGQ_PORT": "9000", "IMGQ_INSECURE": "true"}),
        ("api", "imgq_api", {}),
        ("worker --name w1 --device cpu", "imgq_workers worker --name w1", {"IMGQ_DEVICE": "cpu"}),
        ("worker --batch-size 8", "imgq_workers worker", {"IMGQ_BATCH_SIZE": "8"}),
        ("trainer --device cpu", "imgq_workers trainer", {"IMGQ_DEVICE": "cpu"}),
        ("reconciler", "imgq_workers reconciler", {}),
        ("db upgrade", "imgq_db upgrade", {}),
    ],
)
def test_a_process_command_becomes_that_process(
    imgq: Imgq, became: list[Any], typed: str, program: str, settings: dict[str, str]
) -> None:
    imgq(*typed.split())

    assert became == [(program.split(), settings)]


@pytest.mark.parametrize("option", ["batch_size", "decode_threads", "torch_threads"])
def test_a_workers_option_says_what_its_setting_says(option: str) -> None:
    texts = {found.name: getattr(found, "help", None) for found in worker.params}
    meaning = (Settings.model_fields[option].description or "").partition(" Default")[0]

    assert (texts[option] or "").startswith(meaning)


def test_a_process_command_tells_of_a_bad_settings_file_in_words(
    imgq: Imgq, became: list[Any]
) -> None:
    Path("imgq.toml").write_text("prot = 1")

    result = imgq("api", "--port", "9000")

    assert (result.exit_code, became) == (Exit.USAGE, [])
    assert "Did you mean port?" in result.stderr


def test_a_worker_without_its_extra_says_what_to_install(
    imgq: Imgq, became: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_cli.processes.WORKER_MODULES", ("sys", "no_such_torch"))

    result = imgq("worker")

    assert (result.exit_code, became) == (Exit.UNEXPECTED, [])
    assert "no_such_torch" in result.stderr
    assert "pip install 'imgq[worker]'" in result.stderr
