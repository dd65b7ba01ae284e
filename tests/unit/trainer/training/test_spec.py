import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgq_trainer.training.errors import SpecInvalid
from imgq_trainer.training.spec import EvaluateSpec, read_spec

SpecOf = Callable[..., dict[str, Any]]


def test_an_evaluation_is_told_from_a_training(tmp_path: Path) -> None:
    asked = {"kind": "evaluate", "root": "/a", "work_dir": "/b", "artifact": "/c", "threads": 2}
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({**asked, "max_pixels": 1, "max_file_bytes": 1}))
    assert isinstance(read_spec(path), EvaluateSpec)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"root": "pictures"}, "root: the path must be absolute"),
        ({"epocs": 3}, "epocs"),
        ({"kind": "guess"}, "guess|kind"),
        ({"fractions": [0.5, 0.2, 0.2]}, "add up to 1"),
        ({"threads": "2"}, "threads"),
        ({"preset": "fast", "init": "scratch"}, "cannot start from scratch"),
        ({"init_artifact": "/x", "init": "scratch"}, "no choice"),
    ],
)
def test_what_is_wrong_with_a_specification_is_told(
    tmp_path: Path, spec_of: SpecOf, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec_of(**change)))
    with pytest.raises(SpecInvalid, match=words):
        read_spec(path)


def test_a_file_that_is_missing_or_no_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecInvalid, match="No such file"):
        read_spec(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SpecInvalid, match="JSON"):
        read_spec(tmp_path / "bad.json")
