"""The file of `imgq train --config`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from imgq_cli.errors import CliError, NotFound, UsageFault
from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer
from imgq_cli.train_configs import read_config, told_of_file


def test_tables_and_keys_arrive_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('refit = "no"\n[finetune]\nmixup = 0.2\n[probe]\nl2 = [0.1, 1]\n')

    assert read_config(path) == {
        "refit": "no",
        "finetune": {"mixup": 0.2},
        "probe": {"l2": [0.1, 1]},
    }


def test_no_file_is_no_knob() -> None:
    assert read_config(None) == {}


@pytest.mark.parametrize("content", ["mixup 3", "a = 2026-01-01", "a = nan", "[a]\nb = -inf"])
def test_a_file_that_cannot_be_sent_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(content)

    with pytest.raises(UsageFault, match=r"a\.toml"):
        read_config(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xff")

    with pytest.raises(UsageFault, match="is not TOML"):
        read_config(path)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_config(tmp_path / "no.toml")


@pytest.mark.parametrize("errors", [None, [], "upstream is away", ["upstream is away"], [{}]])
def test_an_error_of_anything_else_stays_as_it_is(tmp_path: Path, errors: object) -> None:
    error = CliError("Bad gateway", problem={"errors": errors})
    assert told_of_file(error, tmp_path / "k.toml") is error


@pytest.mark.parametrize(
    ("options", "place"), [((), "options.config"), (("--config", "k.toml"), "k.toml")]
)
def test_a_knob_that_the_server_does_not_know_is_told_of_its_file(
    server: FakeServer,
    imgq: Callable[..., Result],
    tmp_path: Path,
    options: tuple[str, ...],
    place: str,
) -> None:
    for label in ("jay", "wren"):
        (tmp_path / "birds" / label).mkdir(parents=True)
    Path("k.toml").write_text("epocs = 3\n")
    wrong = " has no key epocs; did you mean finetune.epochs?"
    detail = f"options.config{wrong}"
    errors = [{"pointer": "#/options/config", "detail": detail}]
    problem = {"title": "Invalid", "detail": detail, "errors": errors, "status": 422}
    server.on("POST", "/v1/jobs", Answer(problem, 422))
    result = imgq("train", tmp_path / "birds", "--by-reference", *options)

    assert result.exit_code == Exit.USAGE
    assert f"Error: {place}{wrong}\n" in result.stderr
