import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgq_trainer.training.config import PRESETS, Config, configure, to_toml
from imgq_trainer.training.errors import ConfigInvalid
from imgq_trainer.training.spec import TrainSpec

Parsed = Callable[..., TrainSpec]
DOCS = Path(__file__).parents[4] / "docs" / "training.md"


def test_the_documentation_lists_every_knob_with_its_default() -> None:
    assert f"```toml\n{to_toml(Config())}```" in DOCS.read_text()


def test_the_documented_knobs_are_the_configuration_that_they_document(parsed: Parsed) -> None:
    spec = parsed(config=tomllib.loads(to_toml(Config())), epochs=None)
    assert configure(spec) == Config()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_sound(parsed: Parsed, preset: str) -> None:
    configure(parsed(preset=preset, init="imagenet", config={}))


def test_what_is_asked_for_directly_goes_before_the_configuration(parsed: Parsed) -> None:
    config = configure(
        parsed(epochs=7, batch_size=5, augment="none", config={"scratch": {"epochs": 3}})
    )
    assert (config.scratch.epochs, config.finetune.batch_size) == (7, 5)
    assert config.scratch.augment == "none"


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        ({"imbalanced": "auto"}, "Did you mean imbalance?"),
        ({"finetune": {"learning_rte": 1}}, "Did you mean finetune.learning_rate?"),
        ({"zzz": 1}, "docs/training.md lists every key with its default."),
    ],
)
def test_an_unknown_key_is_told_with_a_close_one(
    parsed: Parsed, config: dict[str, Any], hint: str
) -> None:
    with pytest.raises(ConfigInvalid, match="there is no key") as caught:
        configure(parsed(config=config))
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "config",
    [
        {"finetune": {"dropout": 1.5}},
        {"scratch": {"width": "many"}},
        {"finetune": 3},
        {"probe": {"l2": []}},
    ],
)
def test_a_value_out_of_range_is_told_by_its_place(parsed: Parsed, config: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid, match=next(iter(config))):
        configure(parsed(config=config))


def test_weights_without_the_name_of_their_network_are_refused(
    parsed: Parsed, tmp_path: Path
) -> None:
    weights = {"weights": str(tmp_path / "weights.safetensors")}
    with pytest.raises(ConfigInvalid, match="weights needs a backbone"):
        configure(parsed(config=weights))
    assert configure(parsed(config=weights, backbone="test_resnet")).weights is not None
