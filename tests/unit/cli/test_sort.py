"""`imgq sort`: pictures into folders, nothing overwritten, nothing lost."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer
from imgq_cli.sorting import folder_name, relative_path

Imgq = Callable[..., Result]
Make = Callable[..., dict[str, Any]]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
FAILED = {"status": "failed", "error": {"code": "corrupt", "detail": None}}


@pytest.fixture
def source(tmp_path: Path, server: FakeServer, make_job: Make, make_result: Make) -> Path:
    """Four pictures that a job has seen: a label, unsure, failed, skipped."""
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name in ("deep/a.jpg", "b.jpg", "c.jpg", "d.txt", "caf%.jpg"):
        (folder / name).write_text(name)
    (folder / "caf%.jpg").rename(folder / os.fsdecode(b"caf\xff.jpg"))
    rows = [
        make_result("deep/a.jpg", "daisy"),
        make_result("b.jpg", None),
        make_result("c.jpg", None, **FAILED),
        make_result("d.txt", None, **(FAILED | {"status": "skipped"})),
        make_result("caf%FF.jpg", "cup/mug"),
        make_result("gone.jpg", "daisy"),
        make_result("../outside.jpg", "daisy"),
    ]
    answer_with(server, make_job("succeeded", source={"uri": f"file://{folder}"}), rows)
    return folder


def answer_with(server: FakeServer, job: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    server.on("GET", f"/v1/jobs/{UID}", Answer(job))
    server.on("GET", f"/v1/jobs/{UID}/results.jsonl", Answer(lines))


SORTED = {
    b"daisy/deep/a.jpg": "deep/a.jpg",
    b"_unsure/b.jpg": "b.jpg",
    b"_failed/c.jpg": "c.jpg",
    b"cup%2Fmug/caf\xff.jpg": "caf%.jpg",
}


def contents(folder: Path) -> dict[bytes, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {os.fsencode(path.relative_to(folder)): path.read_text() for path in files}


@pytest.mark.parametrize("way", ["--copy", "--link", "--move"])
def test_pictures_go_where_their_label_says(
    source: Path, imgq: Imgq, tmp_path: Path, way: str
) -> None:
    result = imgq("sort", UID, "--into", tmp_path / "sorted", way, "--json")

    assert contents(tmp_path / "sorted") == SORTED
    assert json.loads(result.stdout)["placed"] == 4
    assert json.loads(result.stdout)["gone"] == 1
    assert len(contents(source)) == (1 if way == "--move" else 5)


def test_links_point_at_the_originals(source: Path, imgq: Imgq, tmp_path: Path) -> None:
    imgq("sort", UID, "--into", tmp_path / "sorted", "--link")

    assert (tmp_path / "sorted/_unsure/b.jpg").readlink() == source / "b.jpg"


@pytest.mark.parametrize("ways", ["--copy --move", "--move --link", "--link --copy"])
def test_two_ways_at_once_are_refused(
    source: Path, imgq: Imgq, server: FakeServer, tmp_path: Path, ways: str
) -> None:
    result = imgq("sort", UID, "--into", tmp_path / "sorted", *ways.split())

    assert (result.exit_code, server.requests) == (Exit.USAGE, [])
    assert " do not go together." in result.stderr


@pytest.mark.parametrize("names", ["a.jpg z/link.jpg", "z.jpg a/link.jpg", "m.jpg a/a.jpg z/z.jpg"])
@pytest.mark.parametrize("turned", [False, True])
def test_links_are_moved_as_the_pictures_they_lead_to_in_any_order(
    imgq: Imgq,
    server: FakeServer,
    make_job: Make,
    make_result: Make,
    tmp_path: Path,
    names: str,
    turned: bool,
) -> None:
    picture, *links = names.split()
    folder = tmp_path / "pictures"
    for before, name in zip([picture, *links], links, strict=False):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).symlink_to(f"../{before}")
    (folder / picture).write_text("the picture")
    rows = [make_result(name) for name in names.split()][:: -1 if turned else 1]
    answer_with(server, make_job("succeeded", source={"uri": f"file://{folder}"}), rows)

    result = imgq("sort", UID, "--into", tmp_path / "sorted", "--move", "--json")

    assert json.loads(result.stdout)["placed"] == len(rows)
    assert contents(tmp_path / "sorted/daisy") == {
        os.fsencode(name): "the picture" for name in names.split()
    }
    assert not [path for path in tmp_path.rglob("*.jpg") if path.is_symlink()]


def test_a_link_that_leads_nowhere_is_gone_and_stays(
    imgq: Imgq, source: Path, server: FakeServer, tmp_path: Path
) -> None:
    (source / "gone.jpg").symlink_to("nowhere.jpg")

    result = imgq("sort", UID, "--into", tmp_path / "sorted", "--move", "--json")

    document = json.loads(result.stdout)
    assert (document["gone"], document["skipped"]) == (1, 2)
    assert (source / "gone.jpg").is_symlink()


@pytest.mark.parametrize("way", ["--copy", "--link", "--move"])
def test_nothing_is_overwritten(source: Path, imgq: Imgq, tmp_path: Path, way: str) -> None:
    taken = tmp_path / "sorted/_unsure/b.jpg"
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")

    result = imgq("sort", UID, "--into", tmp_path / "sorted", way, "--json")

    assert (taken.read_text(), (source / "b.jpg").read_text()) == ("mine", "b.jpg")
    assert json.loads(result.stdout)["there_already"] == 1


def test_it_can_be_run_again(source: Path, imgq: Imgq, tmp_path: Path) -> None:
    for _ in range(2):
        result = imgq("sort", UID, "--into", tmp_path / "sorted")

    assert contents(tmp_path / "sorted") == SORTED
    assert "4 there already, left as they were" in result.stderr


def test_a_job_that_runs_is_not_sorted_yet(
    source: Path, imgq: Imgq, server: FakeServer, make_job: Make, tmp_path: Path
) -> None:
    server.on("GET", f"/v1/jobs/{UID}", Answer(make_job("running")))

    assert imgq("sort", UID, "--into", tmp_path / "sorted").exit_code == Exit.USAGE
    assert not (tmp_path / "sorted").exists()


def test_what_a_cancelled_job_labelled_is_sorted_and_the_rest_told_of(
    source: Path, imgq: Imgq, server: FakeServer, make_job: Make, tmp_path: Path
) -> None:
    job = make_job("cancelled", source={"uri": f"file://{source}"})
    server.on("GET", f"/v1/jobs/{UID}", Answer(job))

    result = imgq("sort", UID, "--into", tmp_path / "sorted")

    assert (result.exit_code, contents(tmp_path / "sorted")) == (Exit.CANCELLED, SORTED)
    assert " was cancelled: 4 of 6 files had a row." in result.stderr


@pytest.mark.parametrize("uri", ["root:photos/x", "file:///not/on/this/disk"])
def test_pictures_of_another_disk_cannot_be_sorted(
    source: Path, imgq: Imgq, server: FakeServer, make_job: Make, tmp_path: Path, uri: str
) -> None:
    server.on("GET", f"/v1/jobs/{UID}", Answer(make_job("succeeded", source={"uri": uri})))

    result = imgq("sort", UID, "--into", tmp_path / "sorted")

    assert result.exit_code == Exit.NOT_FOUND
    assert "not on this machine's disk" in result.stderr


@pytest.mark.parametrize("inside", ["", "deep", "new/folder", "link"])
def test_pictures_are_not_sorted_into_their_own_folder(
    source: Path, imgq: Imgq, tmp_path: Path, inside: str
) -> None:
    (tmp_path / "link").symlink_to(source)
    before = contents(source)

    result = imgq("sort", UID, "--into", tmp_path / "link" if inside == "link" else source / inside)

    assert (result.exit_code, contents(source)) == (Exit.USAGE, before)
    assert f"Try: --into {source}-sorted" in result.stderr


@pytest.mark.parametrize("below", ["", "more/below"])
def test_a_file_is_not_a_place_for_folders(
    source: Path, imgq: Imgq, server: FakeServer, tmp_path: Path, below: str
) -> None:
    (tmp_path / "file").write_text("mine")

    result = imgq("sort", UID, "--into", tmp_path / "file" / below)

    assert result.exit_code == Exit.USAGE
    assert f"{tmp_path / 'file'} is not a folder." in result.stderr
    assert [sent.path for sent in server.requests] == [f"/v1/jobs/{UID}"]


def test_a_place_that_may_not_be_written_is_told_before_anything_is_asked(
    source: Path, imgq: Imgq, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)

    result = imgq("sort", UID, "--into", tmp_path / "new" / "folder")

    assert result.exit_code == Exit.USAGE
    assert f"Permission denied: {tmp_path}." in result.stderr
    assert [sent.path for sent in server.requests] == [f"/v1/jobs/{UID}"]


def test_to_find_none_of_the_pictures_is_a_failure(
    source: Path, imgq: Imgq, tmp_path: Path
) -> None:
    for path in [path for path in source.rglob("*") if path.is_file()]:
        path.unlink()

    result = imgq("sort", UID, "--into", tmp_path / "sorted", "--json")

    assert (result.exit_code, json.loads(result.stdout)["placed"]) == (Exit.UNEXPECTED, 0)
    assert json.loads(result.stderr)["detail"] == (
        f"None of the job's pictures could be read in {source} (5)."
    )


@given(st.text(min_size=1, max_size=40))
def test_any_label_makes_one_folder_below(label: str) -> None:
    name = folder_name(label)

    assert "/" not in name
    assert "\0" not in name
    assert name[0] not in "._-"
    assert name.isprintable()


@given(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8))
def test_two_labels_never_share_a_folder(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)


def test_everyday_labels_stay_as_they_are() -> None:
    assert folder_name("Egyptian cat") == "Egyptian cat"
    assert folder_name("jack-o'-lantern") == "jack-o'-lantern"
    assert folder_name("münze") == "münze"


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a%00b", "%2E%2E/x"])
def test_no_path_leaves_the_folder(path: str) -> None:
    assert relative_path(path) is None
