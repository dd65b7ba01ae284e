"""A training's knobs: the names that the trainer knows with the values that it takes."""

from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from imgq_api.knobs import check_knobs, knobs
from imgq_trainer.training.config import Config, configure
from imgq_trainer.training.errors import ConfigInvalid
from imgq_trainer.training.knob_table import knob_table
from imgq_trainer.training.spec import TrainSpec


def test_knobs_are_those_of_the_trainer() -> None:
    assert knobs() == knob_table()


def trainer_takes(config: dict[str, Any]) -> bool:
    places = {"root": "/", "work_dir": "/tmp", "threads": 1, "max_pixels": 1, "max_file_bytes": 1}
    asked = {"kind": "train", "name": "birds", "config": config, **places}
    try:
        configure(TrainSpec.model_validate(asked, strict=False))
    except ConfigInvalid:
        return False
    return True


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"finetune": {"epochs": 0}}, "finetune.epochs = 0, which must be at least 1"),
        ({"finetune": {"epochs": 2.5}}, "finetune.epochs = 2.5, which must be a whole number"),
        ({"finetune": {"bf16": 1}}, "finetune.bf16 = 1, which must be true or false"),
        ({"finetune": {"dropout": True}}, "finetune.dropout = true, which must be a number"),
        ({"finetune": {"dropout": 1.5}}, "finetune.dropout = 1.5, which must be at most 1"),
        ({"scratch": {"ema": 1}}, "scratch.ema = 1, which must be less than 1"),
        ({"scratch": {"learning_rate": 0}}, "scratch.learning_rate = 0, which must be more than 0"),
        ({"imbalance": "some"}, 'imbalance = "some", which must be one of auto, none, weights,'
         " sampler, logits"),
        ({"probe": {"l2": []}}, "probe.l2 = [], which must be 1 or more in a list"),
        ({"probe": {"l2": [1, -1]}}, "probe.l2 = [1, -1], which must be a list, each at least 0"),
        ({"weights": 3}, "weights = 3, which must be a text or null"),
        ({"pictures": {"image_size": 4}}, "pictures.image_size = 4, which must be at least 8 or"
         " null"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_as_the_trainer_would(
    config: dict[str, Any], fault: str
) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        check_knobs(config)

    assert caught.value.message() == f"has {fault}"
    assert not trainer_takes(config)


def test_every_knob_that_the_trainer_knows_is_let_through() -> None:
    check_knobs(Config().model_dump(mode="json"))


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"refitt": "no"}, "has no key refitt; did you mean refit?"),
        ({"probe": {"iteration": 3}}, "has no key probe.iteration; did you mean probe.iterations?"),
        (
            {"scratch": {"refit": "no"}},
            "has no key scratch.refit; did you mean refit, above the first [table]?",
        ),
        (
            {"finetune": {"image_size": 64}},
            "has no key finetune.image_size; did you mean pictures.image_size?",
        ),
        (
            {"probe": {"weights": ""}},
            "has no key probe.weights; did you mean weights, above the first [table]?",
        ),
        ({"mixup": 0.2}, "has no key mixup; did you mean finetune.mixup?"),
        ({"epocs": 3}, "has no key epocs; did you mean finetune.epochs?"),
        ({"lerning_rate": 1}, "has no key lerning_rate; did you mean finetune.learning_rate?"),
        ({"probe": {"epochs": 3}}, "has no key probe.epochs; did you mean finetune.epochs?"),
        ({"imbalance_": "no"}, "has no key imbalance_; did you mean imbalance?"),
        ({"finetune": {"colour": 1}}, "has no key finetune.colour"),
        ({"finetune": 3}, "must have a table under finetune"),
    ],
)
def test_other_names_are_refused_with_what_was_meant(config: dict[str, Any], fault: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        check_knobs(config)

    assert caught.value.message() == fault
