"""From PATH to a source URI and back."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from imgq_cli.errors import NotFound, UsageFault
from imgq_cli.exits import Exit
from imgq_cli.fakes import FakeServer
from imgq_cli.sources import absolute, check_folder, file_uri, local_folder, source_uri

NAME = st.binary(min_size=1, max_size=40).filter(
    lambda name: not set(name) & {0, 0x2F} and name not in (b".", b"..")
)


@given(NAME)
def test_any_name_survives_the_uri(name: bytes) -> None:
    path = Path("/") / os.fsdecode(name)

    uri = file_uri(path)

    assert uri.isascii()
    assert local_folder(uri, {}) == path


def test_a_name_that_is_not_utf8_is_escaped_byte_by_byte() -> None:
    assert file_uri(Path(os.fsdecode(b"/a b/\xff#?%"))) == "file:///a%20b/%FF%23%3F%25"


def test_a_link_stays_a_link_and_a_parent_is_the_real_one(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")

    assert absolute(str(tmp_path / "link")) == tmp_path / "link"
    assert absolute(str(tmp_path / "link" / "..")) == tmp_path / "real"


def test_a_relative_path_starts_here() -> None:
    assert absolute("./images/") == Path.cwd() / "images"


def test_a_root_source_is_taken_as_it_is() -> None:
    assert source_uri("root:photos/a%20b", shares_disk=False) == "root:photos/a%20b"


def test_a_disk_that_is_not_shared_is_refused_with_both_ways_out() -> None:
    with pytest.raises(UsageFault) as caught:
        source_uri("images", shares_disk=False)

    assert "root:NAME/path" in (caught.value.hint or "")
    assert "--by-reference" in (caught.value.hint or "")


def test_roots_are_found_where_they_are_configured() -> None:
    roots = {"photos": Path("/data")}

    assert local_folder("root:photos/a%20b/c", roots) == Path("/data/a b/c")
    assert local_folder("root:other/c", roots) is None


def test_a_folder_below_a_file_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()

    with pytest.raises(NotFound):
        check_folder(tmp_path / "a.jpg" / "deep")


def test_a_folder_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root may read everything, so the question itself is answered here
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(UsageFault, match="Permission denied"):
        check_folder(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit-folder", ""],
        ["submit-folder", ".", "-o", ""],
        ["train", ""],
        ["train", ".", "-o", ""],
        ["train", ".", "--config", ""],
        ["evaluate", "", "--model", "m"],
        ["models", "import", "", "--name", "m"],
        ["models", "export", "m", "-o", ""],
        ["sort", "last", "--into", ""],
        ["results", "last", "-o", ""],
        ["watch", "last", "-o", ""],
    ],
)
def test_an_empty_path_is_refused_and_not_taken_for_the_current_directory(
    imgq: Callable[..., Result], server: FakeServer, arguments: list[str]
) -> None:
    result = imgq(*arguments)

    assert (result.exit_code, server.requests) == (Exit.USAGE, [])
    assert " is empty." in result.stderr
    assert "Try: " in result.stderr


def test_a_current_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    Path.cwd().rmdir()

    assert absolute(str(tmp_path)) == tmp_path
    with pytest.raises(NotFound, match="The current directory is gone"):
        absolute("images")
