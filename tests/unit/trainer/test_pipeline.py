import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgq_trainer.classifier import Classifier
from imgq_trainer.crew import Crew
from imgq_trainer.engines import Logits
from imgq_trainer.errors import RootUnavailable, ScoresNotFinite, Stopped
from imgq_trainer.outcomes import Code, Outcome, Prediction, Rejection
from imgq_trainer.pipeline import ReadLimits, classify_files
from imgq_trainer.preprocessing import Pixels

Encode = Callable[..., bytes]
LIMITS = ReadLimits(max_pixels=1_000_000, max_file_bytes=1_000_000)
PHOTOS = ["astronaut", "chelsea", "china", "coffee", "flower", "rocket"]
NAMES = [f"{stem}.jpg".encode() for stem in PHOTOS]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def labels(classifier: Classifier, outcomes: Iterator[Outcome]) -> list[str]:
    return [
        classifier.labels[outcome.top[0]] if isinstance(outcome, Prediction) else outcome.code
        for outcome in outcomes
    ]


def test_photos_get_the_labels_that_they_deserve(classifier: Classifier, photos: Path) -> None:
    found = labels(classifier, classify_files(classifier, photos, NAMES, top_k=1, limits=LIMITS))

    assert found[1] in ("tabby", "tiger cat", "Egyptian cat")
    assert (found[0], *found[2:]) == (
        "football helmet",
        "palace",
        "espresso",
        "daisy",
        "missile",
    )


def test_a_prediction_has_the_best_scores_first_and_the_files_digest(
    classifier: Classifier, photos: Path
) -> None:
    (found,) = classify_files(classifier, photos, [b"coffee.jpg"], top_k=3, limits=LIMITS)

    assert isinstance(found, Prediction)
    assert [classifier.labels[i] for i in found.top] == ["espresso", "cup", "consomme"]
    assert found.scores == pytest.approx((0.9539, 0.0120, 0.0104), abs=1e-3)
    assert found.digest == hashlib.sha256((photos / "coffee.jpg").read_bytes()).digest()


def test_more_labels_than_there_are_cannot_be_had(classifier: Classifier, photos: Path) -> None:
    (found,) = classify_files(classifier, photos, NAMES[:1], top_k=5000, limits=LIMITS)

    assert isinstance(found, Prediction)
    assert sorted(found.top) == list(range(1000))


def test_a_rocket_turned_by_exif_is_still_a_missile(
    classifier: Classifier, photos: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(photos / "rocket.jpg") as rocket:
        lying = rocket.transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    lying.save(tmp_path / "lying.jpg", quality=95)

    names = [b"turned.jpg", b"lying.jpg"]
    outcomes = classify_files(classifier, tmp_path, names, top_k=1, limits=LIMITS)
    assert labels(classifier, outcomes) == ["missile", "crane"]


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (4, 2), (7, 3), (64, 4)])
def test_outcomes_are_bit_equal_whatever_the_batches_and_threads(
    classifier: Classifier, photos: Path, batch_size: int, threads: int
) -> None:
    names = [*NAMES, b"gone.jpg", *NAMES[:2]]
    expected = list(classify_files(classifier, photos, names, top_k=2, limits=LIMITS))
    worker = replace(classifier, threads=threads)

    outcomes = classify_files(
        worker,
        photos,
        names[::-1],
        top_k=2,
        limits=LIMITS,
        batch_size=batch_size,
    )
    assert list(outcomes)[::-1] == expected


def test_no_names_give_no_outcomes(classifier: Classifier, photos: Path) -> None:
    assert list(classify_files(classifier, photos, [], top_k=1, limits=LIMITS)) == []


def uniform(tile: Pixels) -> Logits:
    """A network that costs nothing."""
    return np.zeros((len(tile), 1000), np.float32)


@pytest.fixture
def quick(classifier: Classifier) -> Classifier:
    return replace(classifier, logits=uniform)


def test_of_equal_scores_the_lower_index_comes_first(quick: Classifier, photos: Path) -> None:
    (found,) = classify_files(quick, photos, NAMES[:1], top_k=3, limits=LIMITS)

    assert isinstance(found, Prediction)
    assert found.top == (0, 1, 2)


def test_stopping_ends_it_between_batches(quick: Classifier, photos: Path) -> None:
    got: list[Outcome] = []
    outcomes = classify_files(
        quick, photos, NAMES * 9, top_k=1, limits=LIMITS, batch_size=2, stop=lambda: len(got) >= 4
    )
    with pytest.raises(Stopped):
        got.extend(outcomes)  # extend appends one by one

    assert 4 <= len(got) <= 6


def test_closing_the_iterator_early_ends_its_threads(quick: Classifier, photos: Path) -> None:
    outcomes = classify_files(quick, photos, NAMES * 50, top_k=1, limits=LIMITS, batch_size=4)
    next(outcomes)

    outcomes.close()  # type: ignore[attr-defined]
    assert list(outcomes) == []


def test_two_calls_can_share_their_threads(quick: Classifier, photos: Path) -> None:
    with Crew(2) as crew:
        one, other = (
            classify_files(quick, photos, NAMES * 9, top_k=1, limits=LIMITS, crew=crew)
            for _ in range(2)
        )
        first = next(one)
        assert len(list(other)) == 54
        one.close()  # type: ignore[attr-defined]
        assert crew.threads.submit(int).result() == 0
    assert isinstance(first, Prediction)


def test_the_next_call_can_begin_before_the_last_outcome(quick: Classifier, photos: Path) -> None:
    got: list[Outcome] = []
    got_then: list[int] = []
    outcomes = classify_files(
        quick,
        photos,
        NAMES * 50,
        top_k=1,
        limits=LIMITS,
        handed_out=lambda: got_then.append(len(got)),
    )
    got.extend(outcomes)

    assert len(got_then) == 1
    assert 0 < got_then[0] < len(got) == 300


def test_a_score_that_is_no_number_reaches_no_outcome(classifier: Classifier, photos: Path) -> None:
    broken = replace(classifier, logits=lambda tile: uniform(tile) * np.float32("nan"))
    with pytest.raises(ScoresNotFinite):
        list(classify_files(broken, photos, NAMES, top_k=1, limits=LIMITS))


def test_a_picture_without_a_number_is_a_failure_of_its_own(
    classifier: Classifier, photos: Path
) -> None:
    first = threading.Lock()

    def overflows_once(tile: Pixels) -> Logits:
        logits = uniform(tile).copy()
        if tile.any() and first.acquire(blocking=False):
            logits[0] = np.nan
        return logits

    odd = replace(classifier, logits=overflows_once)
    outcomes = list(classify_files(odd, photos, NAMES, top_k=1, limits=LIMITS))
    (failure,) = [outcome for outcome in outcomes if isinstance(outcome, Rejection)]
    assert (failure.code, failure.detail) == (Code.CORRUPT, "the model gives no number for it")
    assert failure.digest is not None


def test_a_missing_root_is_an_error_of_its_own(quick: Classifier, tmp_path: Path) -> None:
    with pytest.raises(RootUnavailable):
        list(classify_files(quick, tmp_path / "gone", NAMES, top_k=1, limits=LIMITS))


def test_pictures_go_one_at_a_time_when_memory_is_short(
    quick: Classifier, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgq_trainer.crew.PICTURES_BUDGET_BYTES", 1)
    monkeypatch.setattr("imgq_trainer.crew.FILES_BUDGET_BYTES", 1)

    with Crew(4) as crew:
        outcomes = classify_files(quick, photos, NAMES * 4, top_k=1, limits=LIMITS, crew=crew)
        assert [type(outcome) for outcome in outcomes] == [Prediction] * 24


def build_corpus(folder: Path, encode: Encode) -> None:
    """Write every odd file that we know of."""
    (folder / "sub").mkdir()
    (folder.parent / "outside.png").write_bytes(encode("PNG"))
    contents = {
        "good.jpg": encode("JPEG"),
        "no-extension": encode("PNG"),
        "wrong.png": encode("JPEG"),
        "UPPER.JPG": encode("JPEG"),
        'comma, "quote"\nline.webp': encode("WEBP"),
        "sub/first.gif": encode("GIF", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
        "page.tiff": encode("TIFF", compression="tiff_lzw"),
        "a.bmp": encode("BMP"),
        "a.avif": encode("AVIF"),
        "progressive.jpg": encode("JPEG", progressive=True),
        "one-pixel.png": encode("PNG", Image.new("RGB", (1, 1))),
        "ribbon.png": encode("PNG", Image.new("RGB", (1, 10_000))),
        "sixteen.png": encode("PNG", Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
        "clear.png": encode("PNG", Image.new("RGBA", (9, 9))),
        "trailing.jpg": encode("JPEG") + b"junk after the end",
        "empty.jpg": b"",
        "text.jpg": b"no picture",
        "notes.txt": b"no picture",
        "zeros.png": bytes(500),
        "page.html": b"<html><svg></svg></html>",
        "clip.mp4": b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(99),
        "cut.jpg": encode("JPEG")[:900],
        "cut.png": encode("PNG")[:900],
        "cut.webp": encode("WEBP")[:900],
        "cut.avif": encode("AVIF")[:900],
        "damaged.png": encode("PNG").replace(b"IDAT", b"IDAT\xff\xff", 1),
        "wide.png": encode("PNG", Image.new("1", (2000, 501))),
        "heavy.bmp": encode("BMP", Image.new("RGB", (600, 600))),
        "a.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99),
        "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
        "a.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "a.pdf": b"%PDF-1.7\n",
        "eps.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "layers.psd": b"8BPS\0\1",
        "favicon.ico": b"\0\0\1\0\1\0\x20\x20\0\0",
        ".DS_Store": b"hidden",
        "sub/Thumbs.db": encode("JPEG"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe.jpg")
    for name, target in {
        "inside.jpg": "good.jpg",
        "outside.png": "../outside.png",
        "dangling.jpg": "nowhere.jpg",
        "loop.jpg": "loop.jpg",
        "directory.jpg": "sub",
    }.items():
        (folder / name).symlink_to(target)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\x80.jpg")).write_bytes(encode("JPEG"))


GOLDEN: dict[bytes, str] = {
    b"good.jpg": "ok",
    b"no-extension": "ok",
    b"wrong.png": "ok",
    b"UPPER.JPG": "ok",
    b'comma, "quote"\nline.webp': "ok",
    b"sub/first.gif": "ok",
    b"page.tiff": "ok",
    b"a.bmp": "ok",
    b"a.avif": "ok",
    b"progressive.jpg": "ok",
    b"one-pixel.png": "ok",
    b"ribbon.png": "ok",
    b"sixteen.png": "ok",
    b"clear.png": "ok",
    b"trailing.jpg": "ok",
    b"inside.jpg": "ok",
    b"\xff\x80.jpg": "ok",
    b"empty.jpg": "failed empty_file",
    b"text.jpg": "failed not_an_image",
    b"zeros.png": "failed not_an_image",
    b"notes.txt": "skipped not_an_image",
    b"page.html": "skipped not_an_image",
    b"clip.mp4": "skipped not_an_image",
    b"cut.jpg": "failed truncated",
    b"cut.png": "failed truncated",
    b"cut.webp": "failed truncated",
    b"cut.avif": "failed truncated",
    b"damaged.png": "failed corrupt",
    b"wide.png": "failed too_large",
    b"heavy.bmp": "failed too_large",
    b"a.jp2": "failed unsupported_format",
    b"phone.heic": "failed unsupported_format",
    b"a.svg": "failed unsupported_format",
    b"a.pdf": "failed unsupported_format",
    b"eps.jpg": "failed unsupported_format",
    b"layers.psd": "failed unsupported_format",
    b"favicon.ico": "failed unsupported_format",
    b".DS_Store": "skipped not_an_image",
    b"sub/Thumbs.db": "skipped not_an_image",
    b"outside.png": "skipped outside_root",
    b"dangling.jpg": "failed vanished",
    b"gone.jpg": "failed vanished",
    b"loop.jpg": "failed unreadable",
    b"locked/": "failed unreadable",
    b"directory.jpg": "failed not_regular_file",
    b"pipe.jpg": "failed not_regular_file",
}


def short(outcome: Outcome) -> str:
    return f"{outcome.status} {outcome.code}" if isinstance(outcome, Rejection) else "ok"


def test_every_odd_file_has_its_outcome(quick: Classifier, tmp_path: Path, encode: Encode) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    build_corpus(folder, encode)

    outcomes = list(classify_files(quick, folder, list(GOLDEN), top_k=1, limits=LIMITS))

    assert dict(zip(GOLDEN, map(short, outcomes), strict=True)) == GOLDEN


def test_a_rejection_has_a_digest_once_the_file_was_read(quick: Classifier, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"no picture")

    names = [b"text.jpg", b"gone.jpg"]
    outcomes = classify_files(quick, tmp_path, names, top_k=1, limits=LIMITS)
    digest = hashlib.sha256(b"no picture").digest()
    assert [outcome.digest for outcome in outcomes] == [digest, None]
