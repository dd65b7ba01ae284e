"""Labelled folders into datasets: no leak, no surprise, an early word if nothing can come."""

import hashlib
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.errors import (
    DatasetError,
    GroupStraddles,
    LabelsUnknown,
    NothingReadable,
    PicturesTooSmall,
    TooFewClasses,
    TooFewPictures,
)
from imgq_trainer.datasets.gathering import Source
from imgq_trainer.datasets.making import make_evaluation_set
from imgq_trainer.datasets.values import (
    Conflict,
    Dataset,
    Example,
    Fault,
    Ignored,
    Leak,
    Split,
)
from imgq_trainer.errors import Stopped

from .conftest import LIMITS, Fill, Make, encoded, picture


def sides(dataset: Dataset) -> dict[bytes, Split]:
    return {example.path: example.split for example in dataset.examples}


def test_a_picture_becomes_an_example(make: Make, fill: Fill, tmp_path: Path) -> None:
    fill("b", *range(4))
    fill("a & b", *range(10, 14))
    dataset = make()
    digest = hashlib.sha256((tmp_path / "b/0001.png").read_bytes()).digest()
    assert dataset.labels == ("a & b", "b")
    split = sides(dataset)[b"b/0001.png"]
    assert dataset.examples[5] == Example(b"b/0001.png", 1, split, digest, None, 5)
    assert [sum(counts) for counts in dataset.findings.counts] == [4, 4]


def shrink(folder: Path, count: int) -> None:
    """Make the first so many of a folder's pictures 1 x 1."""
    for number, path in enumerate(sorted(folder.glob("*.png"))[:count]):
        path.write_bytes(encoded(Image.new("RGB", (1, 1), (number, 40, 40))))


def test_pictures_of_a_few_pixels_are_told(make: Make, fill: Fill) -> None:
    shrink(fill("a", *range(4)), 1)
    shrink(fill("b", *range(10, 14)), 1)
    notes = make().findings.notes
    assert "2 pictures were found to be smaller than 4 pixels on a side." in notes


def test_nothing_is_learned_from_pictures_of_a_few_pixels(make: Make, fill: Fill) -> None:
    for label, seed in (("a", 0), ("b", 10)):
        shrink(fill(label, *range(seed, seed + 4)), 3)
    with pytest.raises(PicturesTooSmall, match="6 of 8 pictures are smaller than 4 pixels"):
        make()


def test_planted_copies_never_straddle_the_split(make: Make, fill: Fill) -> None:
    for label in ("a", "b"):
        folder = fill(label, *range(30 if label == "a" else 0, 60 if label == "a" else 30))
        for path in sorted(folder.glob("*.png")):
            seed = int(path.stem)
            shutil.copy(path, folder / f"{seed}-same.png")
            (folder / f"{seed}-jpeg.jpg").write_bytes(encoded(picture(seed), "JPEG", quality=80))
    dataset = make()
    clusters = {(example.cluster, example.split) for example in dataset.examples}
    assert len(clusters) == len({cluster for cluster, _ in clusters}) == 60
    assert {example.split for example in dataset.examples} == set(Split)
    assert (len(dataset.findings.duplicates), len(dataset.findings.near_duplicates)) == (60, 60)


def test_growth_moves_nobody_else(make: Make, fill: Fill) -> None:
    fill("a", *range(40))
    fill("b", *range(100, 140))
    before = make()
    fill("a", *range(40, 60))
    fill("c", *range(200, 210))
    after = sides(make())
    assert before.findings.moved == ()
    assert {path: after[path] for path in sides(before)} == sides(before)


def test_the_same_bytes_under_two_labels_are_left_out(make: Make, fill: Fill) -> None:
    fill("a", *range(5))
    fill("b", 4, *range(10, 14))
    dataset = make()
    assert dataset.findings.conflicts == (
        Conflict((b"a/0004.png", b"b/0004.png"), ("a", "b"), exact=True),
    )
    assert len(dataset.examples) == 8


def test_a_look_alike_under_another_label_is_kept_on_one_side(make: Make, fill: Fill) -> None:
    fill("a", *range(10))
    for seed in range(10):
        data = encoded(picture(seed), "JPEG", quality=80)
        (fill("b", seed + 100) / f"{seed}.jpg").write_bytes(data)
    dataset = make()
    assert len(dataset.examples) == 30
    assert [conflict.exact for conflict in dataset.findings.conflicts] == [False] * 10
    assert len({(e.cluster, e.split) for e in dataset.examples}) == 20


def test_a_copy_of_a_test_picture_is_taken_from_the_training_split(make: Make, fill: Fill) -> None:
    for label, first in (("a", 0), ("b", 100)):
        fill(f"train/{label}", *range(first, first + 9))
        fill(f"val/{label}", *range(first + 20, first + 23))
        fill(f"test/{label}", *range(first + 40, first + 43))
    fill("train/a", 40)
    dataset = make()
    assert dataset.findings.leaks == (
        Leak(b"train/a/0040.png", Split.TRAIN, b"test/a/0040.png", Split.TEST),
    )
    assert all(side == path.split(b"/")[0].decode() for path, side in sides(dataset).items())


def test_groups_stay_together_also_across_classes(make: Make, fill: Fill) -> None:
    for group in range(12):
        for label, first in (("a", 0), ("b", 100)):
            fill(f"{label}/camera{group}", first + 2 * group, first + 2 * group + 1)
    dataset = make(group_by=r"camera\d+")
    grouped = {(example.group, example.split) for example in dataset.examples}
    assert len(grouped) == 12
    assert {split for _, split in grouped} == set(Split)


def test_what_is_no_picture_is_listed_and_left_out(make: Make, fill: Fill, tmp_path: Path) -> None:
    folder = fill("a", *range(5))
    (folder / "cut.png").write_bytes(encoded(picture(9))[:300])
    (folder / "notes.txt").write_text("no picture")
    fill("b", *range(10, 15))
    (fill("papers") / "notes.txt").write_text("no picture")
    findings = make().findings
    assert findings.corrupt == (Fault(b"a/cut.png", "truncated", "the PNG ends too early"),)
    why = "neither its name nor its content is a picture's"
    assert findings.ignored == (Ignored(b"a/notes.txt", why), Ignored(b"papers/notes.txt", why))
    assert "There is no picture at all under 'papers': no class was made of it." in findings.notes


def test_a_link_that_leads_out_is_no_picture(make: Make, fill: Fill, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.png"
    outside.write_bytes(encoded(picture(77)))
    (fill("a", *range(4)) / "link.png").symlink_to(outside)
    fill("b", *range(10, 14))
    assert make().findings.ignored == (Ignored(b"a/link.png", "a link leads out of the folder"),)


def test_small_classes_are_named_and_repaired(make: Make, fill: Fill) -> None:
    fill("a", *range(40))
    fill("b", 100, 101)
    fill("c", 200, 201, 202)
    findings = make().findings
    assert findings.too_small == ("b",)
    assert findings.counts[1].train == 1
    assert tuple(findings.counts[2]) == (1, 1, 1)
    assert {move.label for move in findings.moved} <= {"b", "c"}
    assert findings.imbalance == findings.counts[0].train


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({}, NothingReadable),
        ({"a": (1, 2, 3)}, TooFewClasses),
        ({"a": (1, 2, 3), "b": (4,)}, TooFewPictures),
        ({"a": (1, 2, 3), "b": (1, 2, 3)}, NothingReadable),
        ({"train/a": (1, 2), "train/b": (3, 4), "test/c": (5, 6)}, TooFewPictures),
    ],
)
def test_what_cannot_be_learned_is_said(
    make: Make, fill: Fill, content: dict[str, tuple[int, ...]], error: type[DatasetError]
) -> None:
    for folder, seeds in content.items():
        fill(folder, *seeds)
    with pytest.raises(error):
        make()


def test_a_folder_of_damaged_pictures_is_said(make: Make, fill: Fill) -> None:
    for label in ("a", "b"):
        for number in range(3):
            (fill(label) / f"{number}.jpg").write_bytes(b"\xff\xd8\xff damaged")
    with pytest.raises(NothingReadable, match="of 6 files"):
        make()


def test_a_group_on_two_given_sides_is_refused(make: Make, fill: Fill) -> None:
    for side in ("train", "test"):
        fill(f"{side}/a", 1)
    with pytest.raises(GroupStraddles, match="'a' was given to several"):
        make(group_by="/(a)/")


def test_a_manifest_row_without_a_split_follows_its_copy(
    make: Make, fill: Fill, tmp_path: Path
) -> None:
    fill("all", *range(20))
    shutil.copy(tmp_path / "all/0000.png", tmp_path / "all/copy.png")
    rows = [f"all/{i:04}.png,{'ab'[i % 2]},{'test' if i < 4 else 'train'}" for i in range(20)]
    manifest = tmp_path / "list.csv"
    manifest.write_text("\n".join(["path,label,split", *rows, "all/copy.png,a,"]))
    found = sides(make(manifest=manifest))
    assert found[b"all/copy.png"] is Split.TEST
    assert list(found.values()).count(Split.TEST) == 5


def test_stopping_takes_less_than_a_second(make: Make, fill: Fill) -> None:
    fill("a", *range(30))
    fill("b", *range(100, 130))
    began = time.monotonic()
    calls = iter([False] * 4)
    with pytest.raises(Stopped):
        make(stop=lambda: next(calls, True))
    assert time.monotonic() - began < 1


def test_progress_is_told_up_to_the_last_file(make: Make, fill: Fill) -> None:
    fill("a", *range(5))
    fill("b", *range(10, 15))
    told: list[tuple[int, int | None]] = []
    make(progress=lambda done, total: told.append((done, total)))
    assert told[:11] == [(0, None), *((done, 10) for done in range(1, 11))]
    # While pictures are compared with each other, too: nobody shall take that for a standstill.
    assert set(told[11:]) == {(10, 10)}


def evaluation_set(source: Source, *labels: str) -> Dataset:
    with Crew(2) as crew:
        return make_evaluation_set(
            source,
            labels,
            limits=LIMITS,
            crew=crew,
            stop=lambda: False,
            progress=lambda done, total: None,
        )


def test_an_evaluation_set_has_the_models_labels_and_is_all_test(
    source: Source, fill: Fill
) -> None:
    fill("dog", 1, 2)
    dataset = evaluation_set(source, "dog", "cat")
    assert dataset.labels == ("dog", "cat")
    assert [(e.label, e.split) for e in dataset.examples] == [(0, Split.TEST)] * 2
    # Nothing is split here, so nothing is said of splits.
    assert dataset.findings.notes == ("There is no picture of 'cat'.",)


def test_an_evaluation_set_of_unknown_classes_is_refused(source: Source, fill: Fill) -> None:
    fill("bird", 1, 2)
    with pytest.raises(LabelsUnknown, match="'bird'"):
        evaluation_set(source, "dog", "cat")


def test_of_many_unknown_classes_it_is_said_how_many() -> None:
    error = LabelsUnknown([f"class {number}" for number in range(9)])
    assert str(error).endswith("'class 4' and 4 more.")


def test_an_evaluation_set_is_the_given_test_split_alone(source: Source, fill: Fill) -> None:
    fill("train/dog", 1, 2, 3)
    fill("test/dog", 4)
    assert list(sides(evaluation_set(source, "dog"))) == [b"test/dog/0004.png"]
