"""Which weights are trained, how fast, and when."""

import math
import re
from collections.abc import Iterator

import torch
from torch import nn

from imgq_trainer.training.config import NetworkKnobs
from imgq_trainer.training.starting import head_of

Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
_UP_TO_A_NUMBER = re.compile(r"^.*?\d+(?=\.)(?:\.\d+(?=\.))*|^[^.]+")
#: the rate at the end of a cosine, as a share of the highest
LAST_SHARE = 0.01


def blocks_of(network: nn.Module) -> list[list[nn.Parameter]]:
    """Return the weights in blocks from the pictures up to the head, which is the last one."""
    head = head_of(network)
    head_ids = {id(value) for value in head.parameters()} if head is not None else set()
    blocks: dict[str, list[nn.Parameter]] = {}
    last: list[nn.Parameter] = []
    for name, value in network.named_parameters():
        found = _UP_TO_A_NUMBER.match(name)
        place = (
            last if id(value) in head_ids else blocks.setdefault(found[0] if found else name, [])
        )
        place.append(value)
    return [*blocks.values(), *([last] if last else [])]


def make_optimiser(network: nn.Module, knobs: NetworkKnobs) -> torch.optim.Optimizer:
    """Return an optimiser whose groups carry `scale`: their share of the learning rate."""
    groups: list[dict[str, object]] = []
    for depth, block in enumerate(reversed(blocks_of(network))):
        scale = knobs.layer_decay**depth
        matrices = [value for value in block if value.ndim > 1]
        others = [value for value in block if value.ndim <= 1]
        for values, decay in ((matrices, knobs.weight_decay), (others, 0.0)):
            if values:
                groups.append({"params": values, "scale": scale, "weight_decay": decay})
    rate = knobs.learning_rate
    if knobs.optimiser == "sgd":
        nesterov = knobs.momentum > 0
        return torch.optim.SGD(groups, rate, momentum=knobs.momentum, nesterov=nesterov)
    return torch.optim.AdamW(groups, rate, betas=(knobs.momentum, 0.999), foreach=False)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]


def rate_at(knobs: NetworkKnobs, progress: float) -> float:
    """Return the head's learning rate. progress: share of all steps that are behind."""
    if progress < knobs.warmup:
        return knobs.learning_rate * max(progress / knobs.warmup, 0.01)
    if knobs.schedule == "constant":
        return knobs.learning_rate
    behind = (progress - knobs.warmup) / max(1 - knobs.warmup, 1e-9)
    cosine = (1 + math.cos(math.pi * min(behind, 1))) / 2
    return knobs.learning_rate * (LAST_SHARE + (1 - LAST_SHARE) * cosine)


def unfreeze(network: nn.Module, knobs: NetworkKnobs, epoch: int, epochs: int) -> None:
    """Let the blocks be trained that have their turn in an epoch, from 0, and no other ones."""
    share, half = knobs.unfreeze, epochs // 2
    if knobs.gradual and epoch < half:
        share *= (epoch + 1) / (half + 1)
    blocks = blocks_of(network)
    frozen = len(blocks) - 1 - round(share * (len(blocks) - 1))
    for number, block in enumerate(blocks):
        for value in block:
            value.requires_grad_(number >= frozen)


def begin_training(network: nn.Module, knobs: NetworkKnobs) -> None:
    """Put the network into training mode, but for statistics that shall stay as they are."""
    network.train()
    if knobs.freeze_norms:
        for norm in norms_of(network):
            norm.eval()


def image_side(knobs: NetworkKnobs, side: int, epoch: int, epochs: int) -> int:
    """Return the side of an epoch's pictures: it grows to the whole in the first two thirds."""
    if knobs.progressive >= 1:
        return side
    share = knobs.progressive + (1 - knobs.progressive) * min(1.5 * epoch / max(epochs - 1, 1), 1)
    return side if share >= 1 else min(side, max(round(side * share / 16) * 16, 16))


def norms_of(network: nn.Module) -> Iterator[Norm]:
    """Return the parts that keep statistics of what they have seen."""
    return (part for part in network.modules() if isinstance(part, Norm))
