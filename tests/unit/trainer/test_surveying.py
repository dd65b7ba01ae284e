"""Looking at files without decoding them."""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from imgq_trainer.classifier import Classifier
from imgq_trainer.crew import Crew
from imgq_trainer.errors import RootUnavailable, Stopped
from imgq_trainer.outcomes import Code, Rejection, Stamp
from imgq_trainer.pipeline import ReadLimits, classify_files
from imgq_trainer.surveying import Picture, survey_files

Encode = Callable[..., bytes]
LIMITS = ReadLimits(max_pixels=1_000_000, max_file_bytes=200_000)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def survey(
    folder: Path, *names: bytes, crew: Crew | None = None, **changes: object
) -> list[Picture | Rejection]:
    settings: dict[str, object] = {"limits": LIMITS, "unchanged": {}, **changes}
    with crew or Crew(2) as hired:
        return survey_files(folder, names, crew=hired, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_of_any_format_has_its_files_digest_and_stamp(
    tmp_path: Path, encode: Encode, kind: str
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(encode(kind))

    status = path.stat()
    stamp = Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    assert survey(tmp_path, b"a.bin") == [
        Picture(hashlib.sha256(path.read_bytes()).digest(), stamp)
    ]


def odd_files(folder: Path) -> list[bytes]:
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.jpg").write_text("no picture")
    (folder / "paper.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "heavy.jpg").write_bytes(bytes(200_001))
    (folder / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9))
    (folder / "out.png").symlink_to("/etc/hostname")
    (folder / "folder.png").symlink_to(".")
    os.mkfifo(folder / "pipe.png")
    wide = io.BytesIO()
    Image.new("1", (2000, 1000)).save(wide, "PNG")
    (folder / "wide.png").write_bytes(wide.getvalue())
    return [*map(os.fsencode, sorted(os.listdir(folder))), b"gone.jpg", b"sub/"]  # noqa: PTH208


def test_what_needs_no_decoding_is_rejected_as_classifying_would(
    tmp_path: Path, classifier: Classifier
) -> None:
    names = odd_files(tmp_path)

    seen = survey(tmp_path, *names)

    assert seen == list(classify_files(classifier, tmp_path, names, top_k=1, limits=LIMITS))
    assert len({each.code for each in seen if isinstance(each, Rejection)}) == 9


def test_a_file_that_keeps_its_stamp_is_not_read(tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "a.jpg").write_bytes(encode("JPEG"))
    (first,) = survey(tmp_path, b"a.jpg")
    assert isinstance(first, Picture)

    before = {b"a.jpg": (first.stamp, b"told")}

    assert survey(tmp_path, b"a.jpg", unchanged=before) == [Picture(b"told", first.stamp)]


def test_a_file_that_was_changed_is_read(tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "a.jpg").write_bytes(encode("JPEG"))
    (first,) = survey(tmp_path, b"a.jpg")
    assert isinstance(first, Picture)
    before = {b"a.jpg": (first.stamp, b"told")}

    (tmp_path / "a.jpg").write_bytes(b"no picture")

    (seen,) = survey(tmp_path, b"a.jpg", unchanged=before)
    assert isinstance(seen, Rejection)
    assert (seen.code, seen.digest) == (Code.NOT_AN_IMAGE, hashlib.sha256(b"no picture").digest())


def test_a_stamp_tells_nothing_of_another_name(tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "a.jpg").write_bytes(encode("JPEG"))
    (first,) = survey(tmp_path, b"a.jpg")
    assert isinstance(first, Picture)
    (tmp_path / "a.jpg").rename(tmp_path / "b.jpg")

    assert isinstance(
        survey(tmp_path, b"b.jpg", unchanged={b"a.jpg": (first.stamp, b"")})[0], Picture
    )
    assert survey(tmp_path, b"b.jpg")[0].digest == first.digest


def test_files_keep_their_order(tmp_path: Path, encode: Encode) -> None:
    names = [f"{number:03}".encode() for number in range(100)]
    for number, name in enumerate(names):
        (tmp_path / name.decode()).write_bytes(encode("JPEG") + bytes(number))

    digests = [hashlib.sha256(encode("JPEG") + bytes(n)).digest() for n in range(100)]
    assert [each.digest for each in survey(tmp_path, *names, crew=Crew(7))] == digests


def test_files_larger_than_the_memory_for_them_go_one_at_a_time(
    tmp_path: Path, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_trainer.crew.FILES_BUDGET_BYTES", 1)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(encode("JPEG"))

    assert all(isinstance(each, Picture) for each in survey(tmp_path, b"a", b"b", b"c"))


def test_stopping_ends_the_survey(tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "a.jpg").write_bytes(encode("JPEG"))

    with pytest.raises(Stopped):
        survey(tmp_path, *[b"a.jpg"] * 50, stop=lambda: True)


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(RootUnavailable):
        survey(tmp_path / "gone", b"a.jpg")
