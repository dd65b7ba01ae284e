import numpy as np
import pytest
import torch

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.training.augmenting import POLICIES, View, blend, policy_of
from imgq_trainer.training.config import Augment, NetworkKnobs

HOW = Preprocessing(40, 32, "bilinear", (0.5,) * 3, (0.25,) * 3)
VIEW = View(HOW, 32, torch.device("cpu"))
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3)).astype(np.uint8)


def test_unchanged_pictures_are_what_serving_sees() -> None:
    seen = PIXELS[:, 4:36, 4:36].astype(np.float32) / 255
    expected = torch.from_numpy((seen - 0.5) / 0.25).permute(0, 3, 1, 2)
    torch.testing.assert_close(VIEW.plain(PIXELS), expected)


@pytest.mark.parametrize("name", ["light", "standard", "strong"])
def test_a_change_depends_on_its_key_alone(name: Augment) -> None:
    policy = POLICIES[name]
    assert policy is not None
    together = VIEW.changed(PIXELS, policy, [(1, 2, row) for row in range(3)])
    alone = VIEW.changed(PIXELS[1:2], policy, [(1, 2, 1)])
    other = VIEW.changed(PIXELS[1:2], policy, [(1, 3, 1)])

    torch.testing.assert_close(together[1:2], alone)
    assert together.shape == (3, 3, 32, 32)
    assert not torch.equal(alone, other)


def test_what_is_beyond_a_padded_picture_is_white() -> None:
    how = Preprocessing(32, 32, "bilinear", (0.0,) * 3, (1.0,) * 3, "pad")
    policy = POLICIES["light"]
    assert policy is not None
    black = np.zeros((20, 32, 32, 3), np.uint8)
    plain = type(policy)((1.5, 1.5), 0.0, 0.0, 0.0, 0.0, 0.0)

    changed = View(how, 32, torch.device("cpu")).changed(
        black, plain, [(0, 0, n) for n in range(20)]
    )

    assert torch.all(changed[:, :, 0, 0] == 1)
    assert torch.all(changed[:, :, 16, 16] == 0)


def test_small_pictures_are_not_mirrored_unless_asked_for() -> None:
    large = Preprocessing(256, 224, "bicubic", (0.5,) * 3, (0.5,) * 3)
    flips = {
        (flip, how.crop): policy.flip
        for how in (HOW, large)
        for flip in ("auto", "yes", "no")
        if (policy := policy_of(NetworkKnobs(flip=flip), how)) is not None
    }
    assert flips == {
        ("auto", 32): False,
        ("yes", 32): True,
        ("no", 32): False,
        ("auto", 224): True,
        ("yes", 224): True,
        ("no", 224): False,
    }


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_blended_targets_are_shares_of_what_is_seen(kind: str) -> None:
    values = torch.stack([torch.full((3, 8, 8), float(n)) for n in range(4)])
    targets = torch.eye(4)
    knobs = NetworkKnobs().model_copy(update={kind: 1.0})

    mixed, shares = blend(values, targets, knobs, np.random.default_rng(2))

    torch.testing.assert_close(shares.sum(1), torch.ones(4))
    torch.testing.assert_close(mixed.mean((1, 2, 3)), shares @ torch.arange(4.0))
