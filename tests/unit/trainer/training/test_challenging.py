"""The gate on pictures: planted models, of which one is worse on purpose."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgq_trainer.artifacts import Artifact, load_artifact, write_artifact
from imgq_trainer.evaluating.promotion import LEAST_PICTURES
from imgq_trainer.training.challenging import _judge, _read_pictures, run_comparison
from imgq_trainer.training.events import Events
from imgq_trainer.training.spec import CompareSpec

Compare = Callable[..., dict[str, Any]]


@pytest.fixture
def turned(own_model: Artifact, tmp_path: Path) -> Artifact:
    """The same network, which takes each label for the other."""
    model = replace(own_model.model, labels=("b", "a"))
    return write_artifact(tmp_path / "turned", model, own_model.read_weights())


@pytest.fixture
def compare(own_model: Artifact, tmp_path: Path) -> Compare:
    """Compare with own_model on pictures that it has right; return the event `done`."""

    def run(
        challenger: Artifact, pictures: int = LEAST_PICTURES, notes: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        root = tmp_path / "kept"
        root.mkdir(exist_ok=True)
        rows = [_picture(root, number) for number in range(pictures)]
        spec = {
            "kind": "compare", "root": root, "work_dir": tmp_path / "work", "threads": 2,
            "max_pixels": 10**6, "max_file_bytes": 10**6, "champion": own_model.folder,
            "challenger": challenger.folder, "pictures": tmp_path / "pictures.jsonl",
            "notes": notes,
        }  # fmt: skip
        truth = _predicted(spec, rows) if pictures >= LEAST_PICTURES else ["a"] * pictures
        _write(tmp_path, [{**row, "label": truth[n]} for n, row in enumerate(rows)])
        return _run(spec)

    return run


def _picture(root: Path, number: int) -> dict[str, str]:
    draw = np.random.default_rng(number)
    tint = np.array([draw.integers(0, 100), 0, 0])
    pixels = draw.integers(0, 150, (32, 32, 3)) + tint
    path = root / f"{number:03}.png"
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return {"path": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _write(folder: Path, rows: list[dict[str, str]]) -> None:
    (folder / "pictures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _run(spec: dict[str, Any]) -> dict[str, Any]:
    said = io.StringIO()
    run_comparison(CompareSpec(**spec), Events(said), lambda: False)
    last: dict[str, Any] = json.loads(said.getvalue().splitlines()[-1])
    return last


def _predicted(spec: dict[str, Any], rows: list[dict[str, str]]) -> list[str]:
    """Ask the model for each picture whether it is an "a"."""

    _write(spec["pictures"].parent, [{**row, "label": "a"} for row in rows])
    asked = CompareSpec(**spec)
    champion = load_artifact(asked.champion)
    pictures = _read_pictures(asked, champion.model.labels)
    (flags,) = _judge(asked, pictures, [champion], lambda: False, lambda done, total: None)
    return ["a" if flag else "b" for flag in flags]


def test_an_equal_challenger_passes(compare: Compare, own_model: Artifact) -> None:
    decision = compare(own_model)["decision"]
    assert (decision["passed"], decision["reasons"]) == (True, [])
    assert decision["counts"] == {
        "pictures": LEAST_PICTURES,
        "champion_right": LEAST_PICTURES,
        "challenger_right": LEAST_PICTURES,
        "only_champion_right": 0,
        "only_challenger_right": 0,
        "p_worse": 1.0,
        "conclusive": True,
    }


def test_a_worse_challenger_is_refused(compare: Compare, turned: Artifact) -> None:
    decision = compare(turned)["decision"]
    assert not decision["passed"]
    assert decision["reasons"][0].startswith("The challenger is worse: of 30 pictures it has 0")
    assert decision["counts"]["conclusive"]


def test_too_few_pictures_are_refused_with_why_there_are_no_more(
    compare: Compare, own_model: Artifact
) -> None:
    decision = compare(own_model, 3, ("27 were seen.",))["decision"]
    assert not decision["passed"]
    few, why = decision["reasons"]
    assert few.startswith("Only 3 pictures") and why == "27 were seen."
    assert not decision["counts"]["conclusive"]
