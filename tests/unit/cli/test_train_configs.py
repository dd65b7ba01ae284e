"""The file of `imgq train --config`."""

from pathlib import Path

import pytest

from imgq_cli.errors import CliError, NotFound, UsageFault
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
