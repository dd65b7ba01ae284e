"""Where the server is, and to whom the key goes."""

import json
import os
from pathlib import Path

import psutil
import pytest

from imgq_cli.errors import CliError, ServerUnreachable, UsageFault
from imgq_cli.exits import Exit
from imgq_cli.target import Target, find_target

STACK = "http://127.0.0.1:8765"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMGQ_SERVER")
    monkeypatch.delenv("IMGQ_API_KEY")


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A local stack that runs, its supervisor being this process; returns its key file."""
    home = tmp_path / "home"
    home.mkdir()
    key_file = home / "api-key"
    key_file.write_text("imgq_local_secret\n")
    me = psutil.Process()
    record = {"name": "me", "pid": me.pid, "created": me.create_time(), "command": me.name()}
    state = {
        "status": "ready",
        "version": "0",
        "url": STACK,
        "key_file": str(key_file),
        "started_at": "2026-11-01T10:00:00+00:00",
        "supervisor": record,
        "processes": [],
    }
    (home / "state.json").write_text(json.dumps(state))
    return key_file


def test_without_any_server_it_says_how_to_start_one() -> None:
    with pytest.raises(ServerUnreachable) as caught:
        find_target(None)

    assert (caught.value.exit_code, caught.value.hint) == (Exit.UNREACHABLE, "imgq up")


def test_the_local_stack_is_found_with_its_key(stack: Path) -> None:
    assert find_target(None) == Target(STACK, "imgq_local_secret", local=True)


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_key_is_none(stack: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("IMGQ_API_KEY", text)

    assert find_target(None).key == "imgq_local_secret"


def test_a_stack_that_was_killed_is_not_a_server(stack: Path) -> None:
    state = stack.with_name("state.json")
    state.write_text(state.read_text().replace(f'"pid": {os.getpid()}', '"pid": 4194303'))

    with pytest.raises(ServerUnreachable):
        find_target(None)


@pytest.mark.parametrize("flag", [STACK, STACK + "/", "http://localhost:8765"])
def test_naming_the_stack_keeps_it_local(stack: Path, flag: str) -> None:
    target = find_target(flag)

    assert (target.key, target.local) == ("imgq_local_secret", True)


def test_the_stacks_key_never_goes_to_another_server(stack: Path) -> None:
    other = "https://imgq.example.org"

    assert find_target(other) == Target(other, None, local=False)


def test_flag_wins_over_environment_wins_over_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("imgq.toml").write_text('server = "http://file:1"\napi_key = "imgq_file_key"\n')
    assert find_target(None) == Target("http://file:1", "imgq_file_key", local=False)

    monkeypatch.setenv("IMGQ_SERVER", "http://environment:2")
    assert find_target(None).url == "http://environment:2"
    assert find_target("http://flag:3").url == "http://flag:3"


@pytest.mark.parametrize("text", ["imgq.test", "ftp://x", "http://", "http://x:99999"])
def test_what_is_no_url_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageFault):
        find_target(text)


def test_a_key_file_that_may_not_be_read_is_an_auth_error(stack: Path) -> None:
    stack.unlink()
    stack.mkdir()

    with pytest.raises(CliError) as caught:
        find_target(None)

    assert caught.value.exit_code == Exit.AUTH


def test_a_bad_setting_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGQ_PORT", "many")

    with pytest.raises(UsageFault, match="The setting port cannot be used"):
        find_target(None)


@pytest.mark.parametrize(
    ("text", "words"),
    [("prot = 1", "'prot'. Did you mean port?"), ("port = ", "is not TOML: Invalid value")],
)
def test_a_bad_settings_file_is_named(text: str, words: str) -> None:
    Path("imgq.toml").write_text(text)

    with pytest.raises(UsageFault) as caught:
        find_target(None)

    assert caught.value.message.startswith(f"The settings file {Path('imgq.toml').absolute()} ")
    assert words in caught.value.message


def test_the_key_is_not_in_the_targets_repr(stack: Path) -> None:
    assert "secret" not in repr(find_target(None))
