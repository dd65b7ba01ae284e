"""Source URIs: what they mean, and what they may not name."""

import os
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgq_db.errors import SourceInvalid, SourceNotAllowed
from imgq_db.settings import Settings
from imgq_db.sources import (
    FILE_ROOT,
    check_source,
    folder_uri,
    named_file,
    readable_roots,
    source_folder,
    source_place,
)

LOCAL = Settings(local_files=True, roots={"photos": Path("/data/photos"), "b": Path("/b")})
SERVER = Settings(roots={"photos": Path("/data/photos")})
parts = st.binary(min_size=1, max_size=8).filter(
    lambda part: not set(part) & {0, ord("/")} and part not in (b".", b"..")
)


@given(st.lists(parts, min_size=1))
def test_any_folder_comes_back_from_its_uri(steps: list[bytes]) -> None:
    path = b"/" + b"/".join(steps)
    uri = folder_uri(Path(os.fsdecode(path)))
    assert os.fsencode(source_folder(uri, LOCAL)) == path
    assert uri.isascii() and not set(uri) & set(" \n\t\"'\\")


@given(st.lists(parts))
def test_a_source_below_a_root_stays_below_it(steps: list[bytes]) -> None:
    relative = folder_uri(Path("/" + os.fsdecode(b"/".join(steps)))).removeprefix("file:///")
    folder = os.fsencode(source_folder(f"root:photos/{relative}", SERVER))
    assert folder == b"/".join([b"/data/photos", *steps])


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "photos",
        "/data/photos",
        "http://host/a",
        "s3://bucket/a",
        "file:/a",
        "file://host/a",
        "file://",
        "file:////a",
        "file:///a/../b",
        "file:///a/%2e%2e/b",
        "file:///a/%2E%2E",
        "file:///a%00b",
        "file:///a\0b",
        "file:///a\ud800b",
        "root:",
        "root:/a",
        "root",
        "root:photos/..",
        "root:photos/../../etc",
        "root:photos/a%2f..%2f..%2fetc",
        "root:photos/%00",
        "root:photos/\ud800",
    ],
)
def test_a_source_that_names_no_folder_or_leads_out_is_refused(uri: str) -> None:
    with pytest.raises(SourceInvalid):
        check_source(uri, LOCAL)
    with pytest.raises(SourceInvalid):
        source_folder(uri, LOCAL)
    with pytest.raises(SourceInvalid):
        source_place(uri)


def test_a_file_source_is_read_only_where_the_disk_is_shared() -> None:
    assert check_source("file:///a", LOCAL) == FILE_ROOT
    with pytest.raises(SourceNotAllowed, match="file://") as refused:
        source_folder("file:///a", SERVER)
    assert refused.value.hint == "It reads root:photos/ and the folders below."


def test_an_unknown_root_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(SourceNotAllowed, match="'other'") as refused:
        check_source("root:other/a", SERVER)
    assert refused.value.hint == "It reads root:photos/ and the folders below."
    with pytest.raises(SourceNotAllowed) as refused:
        check_source("root:photos/a", Settings())
    assert refused.value.hint == "Its operator can allow folders with IMGQ_ROOTS=NAME=/path."


@pytest.mark.parametrize("uri", ["root:photos", "root:photos/", "root:photos//", "root:photos/."])
def test_a_root_itself_is_a_source(uri: str) -> None:
    assert source_folder(uri, SERVER) == Path("/data/photos")


def test_a_double_slash_cannot_turn_a_relative_path_into_an_absolute_one() -> None:
    assert source_folder("root:photos//etc", SERVER) == Path("/data/photos/etc")
    assert source_folder("root:photos/%2Fetc", SERVER) == Path("/data/photos/etc")


def test_a_file_is_found_by_its_path_or_below_a_root(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc")
    settings = Settings(local_files=True, roots={"r": tmp_path})
    assert named_file("/w/50%.safetensors", settings) == Path("/w/50%.safetensors")
    assert named_file("root:r/w", settings) == tmp_path.resolve() / "w"
    with pytest.raises(SourceNotAllowed, match="leads out of its root"):
        named_file("root:r/out/passwd", settings)
    with pytest.raises(SourceNotAllowed, match="below none of its roots"):
        named_file("/etc/passwd", SERVER)


def test_readable_roots_are_the_configured_ones_and_files_where_allowed() -> None:
    assert readable_roots(LOCAL) == (FILE_ROOT, "b", "photos")
    assert readable_roots(SERVER) == ("photos",)


def test_a_link_below_a_root_cannot_lead_out_of_it(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "inside").mkdir(parents=True)
    outside.mkdir()
    (root / "out").symlink_to(outside)
    (root / "in").symlink_to(root / "inside")
    settings = Settings(roots={"r": root})
    assert source_folder("root:r/in", settings) == (root / "inside").resolve()
    with pytest.raises(SourceNotAllowed, match="leads out of its root"):
        source_folder("root:r/out", settings)


@given(st.lists(parts), st.lists(parts), parts)
def test_a_file_has_one_place_however_its_folder_was_submitted(
    above: list[bytes], below: list[bytes], name: bytes
) -> None:
    for start in ("file:///", "root:photos/"):
        folder, sub = (start + quote_from_bytes(b"/".join(f)) for f in (above, above + below))
        assert source_place(folder) + b"/" + b"/".join([*below, name]) == (
            source_place(sub) + b"/" + name
        )


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("file:///", b"file:"),
        ("file:///a/b", b"file:/a/b"),
        ("file:///a//./b/", b"file:/a/b"),
        ("file:///%FF%20b", b"file:/\xff b"),
        ("root:photos", b"root:photos"),
        ("root:photos/.", b"root:photos"),
        ("root:photos//a/b/", b"root:photos/a/b"),
    ],
)
def test_a_place_is_written_in_one_way(uri: str, place: bytes) -> None:
    assert source_place(uri) == place
