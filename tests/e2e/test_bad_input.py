"""What goes wrong at a user's: a sentence, what to do, and the right exit code."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

IMGQ = Path(sys.executable).with_name("imgq")


def test_a_missing_folder_is_not_found(stack: Any) -> None:
    done = stack.imgq("submit-folder", "/no/such/folder")
    assert done.code == 5
    assert "/no/such/folder" in done.err and "Traceback" not in done.err
    assert done.out == ""


def test_an_empty_folder_fails_the_job(stack: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = stack.imgq("submit-folder", empty, "--wait")
    assert done.code == 7
    assert "No file was found" in done.err


def test_an_unknown_model_is_named(stack: Any, photos: Path) -> None:
    done = stack.imgq("submit-folder", photos, "--model", "nosuch:3")
    assert done.code == 5
    assert "nosuch:3" in done.err and "imgq models list" in done.err


def test_a_missing_server_is_unreachable(stack: Any, photos: Path, tmp_path: Path) -> None:
    done = stack.imgq("submit-folder", photos, IMGQ_HOME=str(tmp_path / "nowhere"))
    assert done.code == 6
    assert "imgq up" in done.err


def test_a_wrong_key_is_refused(stack: Any, photos: Path) -> None:
    done = stack.imgq("submit-folder", photos, IMGQ_API_KEY=f"imgq_00000000_{'x' * 43}")
    assert done.code == 4
    assert "key" in done.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["submit-foler", "."], "submit-folder"),
        (["submit-folder", ".", "--outptu", "x.csv"], "--output"),
        (["submit-folder", ".", "-o", "x.docx"], ".csv"),
    ],
)
def test_a_slip_of_the_keyboard_is_a_usage_error_with_a_hint(
    stack: Any, arguments: list[str], hint: str
) -> None:
    done = stack.imgq(*arguments)
    assert done.code == 2
    assert hint in done.err


def test_a_full_disk_leaves_no_half_file(stack: Any, photos: Path, tmp_path: Path) -> None:
    assert stack.imgq("submit-folder", photos, "--wait").code == 0
    # A limit on the size of files gives the same error as a full disk, without root.
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 0; exec "$0" results last -o out.csv', str(IMGQ)],
        env=stack.environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "out.csv" in done.stderr and "Traceback" not in done.stderr
