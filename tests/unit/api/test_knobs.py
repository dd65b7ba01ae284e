"""The names of a training's knobs: those of the trainer, and no others."""

from typing import Any

import pydantic
import pytest
from pydantic_core import PydanticCustomError

from imgq_api.knobs import KNOBS, check_knobs
from imgq_trainer.training.config import Config


def test_knobs_are_those_of_the_trainer() -> None:
    tables = {
        name: frozenset(type(value).model_fields) if isinstance(value, pydantic.BaseModel) else None
        for name, value in Config()
    }

    assert tables == KNOBS


def test_every_knob_that_the_trainer_knows_is_let_through() -> None:
    check_knobs(Config().model_dump(mode="json"))


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"refitt": "no"}, "has no key refitt; did you mean refit?"),
        ({"probe": {"iteration": 3}}, "has no key probe.iteration; did you mean probe.iterations?"),
        ({"mixup": 0.2}, "has no key mixup; did you mean finetune.mixup?"),
        ({"finetune": {"colour": 1}}, "has no key finetune.colour"),
        ({"finetune": 3}, "must have a table under finetune"),
    ],
)
def test_other_names_are_refused_with_what_was_meant(config: dict[str, Any], fault: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        check_knobs(config)

    assert caught.value.message() == fault
