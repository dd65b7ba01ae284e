import pytest
import timm
import torch

from imgq_trainer.small_cnn import SmallCnn
from imgq_trainer.training.config import NetworkKnobs
from imgq_trainer.training.optimising import (
    begin_training,
    blocks_of,
    image_side,
    make_optimiser,
    rate_at,
    unfreeze,
)
from imgq_trainer.training.starting import head_of


def trained(network: torch.nn.Module) -> set[str]:
    return {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_vit"])
def test_every_weight_is_in_one_block_and_the_head_in_the_last(name: str) -> None:
    network = timm.create_model(name, num_classes=3)
    head = head_of(network)
    blocks = blocks_of(network)

    assert head is not None
    assert len({id(p) for block in blocks for p in block}) == len(list(network.parameters()))
    assert {id(p) for p in blocks[-1]} == {id(p) for p in head.parameters()}
    assert len(blocks) > 4


def test_unfreezing_begins_at_the_head_and_ends_where_it_shall() -> None:
    network, knobs = SmallCnn(3, 8, 0), NetworkKnobs(unfreeze=1.0, gradual=True)
    unfreeze(network, knobs.model_copy(update={"unfreeze": 0.0}), 0, 8)
    assert trained(network) == {"classifier"}
    unfreeze(network, knobs, 0, 8)
    assert trained(network) == {"classifier", "stages"}
    unfreeze(network, knobs, 4, 8)
    assert trained(network) == {"classifier", "stages", "stem"}


def test_lower_blocks_learn_more_slowly_and_norms_do_not_decay() -> None:
    optimiser = make_optimiser(SmallCnn(3, 8, 0), NetworkKnobs(layer_decay=0.5, weight_decay=0.1))
    groups = optimiser.param_groups

    assert groups[0]["scale"] == 1 and groups[-1]["scale"] < 0.01
    assert all((g["weight_decay"] > 0) == (g["params"][0].ndim > 1) for g in groups)


def test_the_rate_rises_and_falls() -> None:
    knobs = NetworkKnobs(learning_rate=1.0, warmup=0.2)
    rates = [rate_at(knobs, at / 10) for at in range(11)]
    assert rates[2] == max(rates) == 1.0
    assert rates[:3] == sorted(rates[:3])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[10] == pytest.approx(0.01)


def test_pictures_grow_to_their_whole_size() -> None:
    knobs = NetworkKnobs(progressive=0.5)
    assert [image_side(knobs, 224, epoch, 7) for epoch in range(7)] == [112, 144, 160, 192, 224] + [
        224
    ] * 2


def test_statistics_can_stay_as_they_are() -> None:
    network = SmallCnn(3, 8, 0)
    begin_training(network, NetworkKnobs(freeze_norms=True))
    assert network.training
    assert not network.stem[1].training
