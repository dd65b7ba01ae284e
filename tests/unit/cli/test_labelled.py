"""PATH of `imgq train` and `imgq evaluate`: what it means, and what is refused at once."""

from pathlib import Path

import pytest

from imgq_cli.errors import NotFound, UsageFault
from imgq_cli.labelled import Labelled, check_labelled, find_labelled, model_name

COMMAND = ("imgq", "train", "{}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def make_folders(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


def refusal(folder: Path, *, least: int = 2) -> UsageFault:
    with pytest.raises(UsageFault) as caught:
        check_labelled(Labelled(str(folder)), command=COMMAND, least=least)
    return caught.value


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("./birds", Labelled("./birds")),
        ("root:photos/birds", Labelled("root:photos/birds")),
        ("root:photos/birds/all.csv", Labelled("root:photos/birds", "all.csv")),
        ("root:photos.csv", Labelled("root:photos.csv")),
    ],
)
def test_a_path_is_a_folder_or_a_manifest_in_one(path: str, found: Labelled) -> None:
    assert find_labelled(path) == found


@pytest.mark.parametrize("name", ["all.csv", "All.JSONL", "all.ndjson"])
def test_a_manifest_is_known_by_its_end(folder: Path, name: str) -> None:
    (folder / name).touch()

    assert find_labelled(str(folder / name)) == Labelled(str(folder), name)


def test_a_manifest_of_the_current_folder_needs_no_folder() -> None:
    Path("all.csv").touch()

    assert find_labelled("all.csv") == Labelled(".", "all.csv")


def test_another_file_is_refused(folder: Path) -> None:
    (folder / "a.jpg").touch()

    with pytest.raises(UsageFault, match=r"This is a file, and no manifest: .*/a\.jpg"):
        find_labelled(str(folder / "a.jpg"))


def test_a_folder_that_is_not_there_is_not_found(folder: Path) -> None:
    with pytest.raises(NotFound, match="No such folder: "):
        check_labelled(Labelled(str(folder / "no")), command=COMMAND, least=2)


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "dog"),
        ("train/cat", "train/dog", "val/cat"),
        ("Training/cat", "Training/dog", "test/cat"),
        ("crème brûlée", "mac & cheese"),
    ],
)
def test_class_folders_are_enough(folder: Path, names: tuple[str, ...]) -> None:
    make_folders(folder, *names)

    check_labelled(Labelled(str(folder)), command=COMMAND, least=2)


def test_a_folder_without_class_folders_is_refused(folder: Path) -> None:
    (folder / "a.jpg").touch()
    make_folders(folder, ".cache")

    assert "There are no class folders in " in refusal(folder).message


def test_a_manifest_that_lies_there_is_what_to_try(folder: Path) -> None:
    (folder / "labels.csv").touch()

    assert refusal(folder).hint == f"imgq train {folder}/labels.csv"


def test_one_class_is_too_few_to_train_on(folder: Path) -> None:
    make_folders(folder, "train/cat", "val/cat")

    assert "There is one class folder only, 'cat', in " in refusal(folder).message
    check_labelled(Labelled(str(folder)), command=COMMAND, least=1)


def test_a_link_to_a_folder_is_no_class(folder: Path) -> None:
    make_folders(folder, "cat")
    (folder / "dog").symlink_to(folder / "cat")

    assert "one class folder only" in refusal(folder).message


def test_a_manifest_needs_no_class_folders(folder: Path) -> None:
    check_labelled(Labelled(str(folder), "all.csv"), command=COMMAND, least=2)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("./Birds", "birds"), ("a/My Birds/", "my-birds"), ("root:photos/uk/birds", "birds")],
)
def test_the_model_is_called_like_the_folder(folder: str, name: str) -> None:
    assert model_name(Labelled(folder), None) == name


def test_the_current_folder_has_a_name_too() -> None:
    assert model_name(Labelled("."), None) == "work"


def test_a_given_name_is_the_servers_to_judge() -> None:
    assert model_name(Labelled("./birds"), "Ünfit") == "Ünfit"


def test_a_folder_that_cannot_name_a_model_asks_for_a_name() -> None:
    with pytest.raises(UsageFault) as caught:
        model_name(Labelled("./Vögel"), None)

    assert caught.value.hint == "imgq train ./Vögel --name birds".replace("./Vögel", "'./Vögel'")
