"""Options of train and evaluate jobs: refused with a sentence, or stored and read back."""

from typing import Any

import pytest

from imgq_db.errors import ImgqError, ModelExists, OptionInvalid
from imgq_db.train_options import EvaluateOptions, TrainOptions


def test_options_are_stored_and_read_back() -> None:
    given = TrainOptions("birds", epochs=3, val=0.2, config={"finetune": {"epochs": 2}})
    assert TrainOptions.from_json(given.to_json()) == given
    evaluated = EvaluateOptions(manifest="test.csv")
    assert EvaluateOptions.from_json({**evaluated.to_json(), "of_a_later_release": 1}) == evaluated


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "quick"},
        {"imbalance": "some"},
        {"augment": "wild"},
        {"epochs": 0},
        {"image_size": 4},
        {"max_seconds": 0},
        {"val": 0.6, "test": 0.4},
        {"test": 0},
        {"seed": -1},
        {"manifest": "/etc/passwd"},
        {"manifest": "../other.csv"},
        {"config": {"a": float("nan")}},
        {"config": {"a": "\0"}},
        {"config": {"a": "x" * 70_000}},
        {"init": "birds:1", "backbone": "resnet18"},
        {"init": "scratch", "preset": "fast"},
        {"name": "No Name"},
    ],
)
def test_what_cannot_be_trained_is_refused_before_hours_are_spent(options: dict[str, Any]) -> None:
    with pytest.raises(ImgqError, match=r"\.$"):
        TrainOptions(**{"name": "birds", **options})


def test_the_built_in_models_name_is_taken() -> None:
    with pytest.raises(ModelExists):
        TrainOptions("imagenet")


def test_an_evaluation_may_not_leave_its_source() -> None:
    with pytest.raises(OptionInvalid):
        EvaluateOptions(manifest="a/../../b.csv")
