"""Training pictures, changed a little each time; how, depends on seed, epoch and number alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.training.config import Augment, NetworkKnobs


@dataclass(frozen=True, slots=True)
class Policy:
    """Ranges that are drawn from, evenly. zoom: sides of the window, as a share of what serving
    sees. stretch: of one side against the other. shift: of the window, beside what its size
    leaves room for. degrees: of a turn. light, colour: of brightness and contrast, of saturation.
    """

    zoom: tuple[float, float]
    stretch: float
    shift: float
    degrees: float
    light: float
    colour: float
    flip: bool = True
    erasing: float = 0.0


POLICIES: dict[Augment, Policy | None] = {
    "none": None,
    "light": Policy((0.9, 1.1), 0.05, 0.06, 4.0, 0.1, 0.0),
    "standard": Policy((0.65, 1.05), 0.15, 0.04, 8.0, 0.2, 0.2),
    "strong": Policy((0.4, 1.05), 0.25, 0.05, 15.0, 0.4, 0.4),
}
#: pictures of up to so many pixels a side are not mirrored: they may be digits, letters or signs
SMALL_SIDE = 64


def policy_of(knobs: NetworkKnobs, how: Preprocessing) -> Policy | None:
    """Return how pictures are changed; None for not at all."""
    policy = POLICIES[knobs.augment]
    if policy is None:
        return None
    flip = knobs.flip == "yes" or (knobs.flip == "auto" and how.crop > SMALL_SIDE)
    return replace(policy, flip=flip, erasing=knobs.random_erasing)


@dataclass(frozen=True, slots=True)
class View:
    """Stored pictures into what a network is given. side: of the result, in pixels."""

    how: Preprocessing
    side: int
    device: torch.device

    def plain(self, pixels: Pixels) -> torch.Tensor:
        """Return what serving shows: (B, S, S, 3) of uint8 -> (B, 3, side, side), normalised."""
        return self._normal(self._cut(self._values(pixels)))

    def changed(
        self, pixels: Pixels, policy: Policy, keys: Sequence[tuple[int, ...]]
    ) -> torch.Tensor:
        """Return each picture changed as its key says: the same key, the same change."""
        draws = np.stack([np.random.default_rng(key).uniform(size=12) for key in keys])
        drawn = torch.from_numpy(draws.astype(np.float32)).to(self.device)  # (B, 12), in 0..1
        values = self._values(pixels)
        seen = self._sample(values, _windows(drawn, policy, self.how.crop / self.how.resize))
        return _erase(self._normal(_recolour(seen, drawn, policy)), drawn, policy.erasing)

    def _values(self, pixels: Pixels) -> torch.Tensor:
        # (B, S, S, 3) -> (B, 3, S, S) in 0..1, channels_last in memory
        whole = torch.from_numpy(np.array(pixels)).to(self.device)
        return whole.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)

    def _cut(self, values: torch.Tensor) -> torch.Tensor:
        start, crop = (values.shape[2] - self.how.crop) // 2, self.how.crop
        seen = values[:, :, start : start + crop, start : start + crop]
        if crop == self.side:
            return seen
        size = (self.side, self.side)
        return functional.interpolate(seen, size, mode="bilinear", antialias=True)

    def _sample(self, values: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
        size = [len(values), 3, self.side, self.side]
        grid = functional.affine_grid(windows, size, align_corners=False)
        if self.how.fit == "pad":  # what is beyond a picture is white, as in serving
            beyond = functional.grid_sample(1 - values, grid, "bilinear", "zeros", False)
            return 1 - beyond
        return functional.grid_sample(values, grid, "bilinear", "border", False)

    def _normal(self, values: torch.Tensor) -> torch.Tensor:
        mean = torch.tensor(self.how.mean, device=self.device).view(1, 3, 1, 1)
        std = torch.tensor(self.how.std, device=self.device).view(1, 3, 1, 1)
        normal = values.sub(mean).div_(std)
        return normal.contiguous(memory_format=torch.channels_last)


def _windows(drawn: torch.Tensor, policy: Policy, share: float) -> torch.Tensor:
    """Return where each result looks at its picture: (B, 2, 3), for affine_grid."""
    low, high = policy.zoom
    zoom = share * (low + (high - low) * drawn[:, 0])
    stretch = torch.exp((2 * drawn[:, 1] - 1) * policy.stretch / 2)
    wide, tall = zoom * stretch, zoom / stretch
    room_x, room_y = (1 - wide).clamp_min(0), (1 - tall).clamp_min(0)
    x = (2 * drawn[:, 2] - 1) * (room_x + policy.shift)
    y = (2 * drawn[:, 3] - 1) * (room_y + policy.shift)
    angle = (2 * drawn[:, 4] - 1) * math.radians(policy.degrees)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    mirror = torch.where((drawn[:, 5] < 0.5) & policy.flip, -1.0, 1.0)
    rows = [cosine * wide * mirror, -sine * tall, x, sine * wide * mirror, cosine * tall, y]
    return torch.stack(rows, 1).view(-1, 2, 3)


def _recolour(values: torch.Tensor, drawn: torch.Tensor, policy: Policy) -> torch.Tensor:
    if not policy.light and not policy.colour:
        return values
    brightness, contrast, saturation = (
        (1 + (2 * drawn[:, at] - 1) * amount).view(-1, 1, 1, 1)
        for at, amount in ((6, policy.light), (7, policy.light), (8, policy.colour))
    )
    grey = values.mean(1, keepdim=True)
    coloured = grey + (values - grey) * saturation
    middle = grey.mean((2, 3), keepdim=True)
    return ((coloured - middle) * contrast + middle * brightness).clamp_(0, 1)


def _erase(values: torch.Tensor, drawn: torch.Tensor, share: float) -> torch.Tensor:
    """Set a square of a quarter of the side to the mean, in a share of the pictures."""
    if share:
        side = values.shape[2]
        size = max(side // 4, 1)
        for at in torch.nonzero(drawn[:, 9] < share).flatten().tolist():
            top, left = (int(place * (side - size)) for place in drawn[at, 10:12].tolist())
            values[at, :, top : top + size, left : left + size] = 0
    return values


def blend(
    values: torch.Tensor, targets: torch.Tensor, knobs: NetworkKnobs, draw: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each picture with another of the batch, by mixup or cutmix: whichever is on, or either.

    targets: (B, K) of probabilities.
    """
    kinds = [kind for kind, alpha in (("mixup", knobs.mixup), ("cutmix", knobs.cutmix)) if alpha]
    if not kinds:
        return values, targets
    kind = kinds[int(draw.integers(len(kinds)))]
    alpha = knobs.mixup if kind == "mixup" else knobs.cutmix
    kept = float(draw.beta(alpha, alpha))
    others = torch.from_numpy(draw.permutation(len(values))).to(values.device)
    if kind == "mixup":
        mixed = kept * values + (1 - kept) * values[others]
    else:
        side = values.shape[2]
        size = round(side * math.sqrt(1 - kept))
        top, left = (int(draw.integers(side - size + 1)) for _ in range(2))
        mixed = values.clone()
        place = (slice(None), slice(None), slice(top, top + size), slice(left, left + size))
        mixed[place] = values[others][place]
        kept = 1 - size**2 / side**2
    return mixed, kept * targets + (1 - kept) * targets[others]
