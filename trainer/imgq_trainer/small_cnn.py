"""Our own network for small pictures: trained from nothing in minutes on a CPU."""

from collections.abc import Sequence

import torch
from torch import nn

NAME = "small_cnn"
#: what both sides of a picture are divided by on the way
STRIDE = 4


class SmallCnn(nn.Module):
    """Three stages of residual 3x3 convolutions, the second and third at half the resolution.

    (B, 3, H, W) -> (B, K); H and W from 8 on. Its parts have timm's names for the same things.
    """

    def __init__(
        self, num_classes: int, width: int = 32, blocks: int = 1, drop_rate: float = 0.0
    ) -> None:
        """width: channels of the first stage, doubled by each of the next. blocks: in a stage."""
        super().__init__()
        if width < 1 or blocks < 0:
            raise ValueError("width must be at least 1 and blocks at least 0")
        self.stem = _convolution(3, width, stride=1)
        self.stages = nn.Sequential(*_stages((width, 2 * width, 4 * width), blocks))
        self.drop_rate = drop_rate
        self.num_features = 4 * width
        self.classifier: nn.Module = nn.Linear(self.num_features, num_classes)

    def forward_features(self, pictures: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.stages(self.stem(pictures))
        return features

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(pictures))

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        pooled = features.mean((2, 3))  # (B, C)
        dropped = nn.functional.dropout(pooled, self.drop_rate, self.training)
        scores: torch.Tensor = self.classifier(dropped)
        return scores

    def get_classifier(self) -> nn.Module:
        return self.classifier

    def reset_classifier(self, num_classes: int) -> None:
        """Put a new head on; 0 for none, so that the network returns its features."""
        fresh = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        self.classifier = fresh


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, stride=1)
        self.second = _convolution(channels, channels, stride=1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.second(self.first(values))
        return values + changed


def _stages(widths: Sequence[int], blocks: int) -> list[nn.Module]:
    stages: list[nn.Module] = []
    before = widths[0]
    for number, channels in enumerate(widths):
        entry = _convolution(before, channels, stride=1 if number == 0 else 2)
        stages.append(nn.Sequential(entry, *(_Residual(channels) for _ in range(blocks))))
        before = channels
    return stages


def _convolution(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
