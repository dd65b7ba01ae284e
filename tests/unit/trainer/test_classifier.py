from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier, Probabilities, load_classifier
from imgq_trainer.engines import Logits
from imgq_trainer.errors import DeviceUnavailable, ScoresNotFinite
from imgq_trainer.preprocessing import Pixels

LOGITS = Path(__file__).parent / "data" / "lite0_logits.npz"  # data/README.md tells how it was made


@pytest.fixture(scope="module")
def alone(classifier: Classifier, pictures: Pixels) -> Probabilities:
    """Each photo's probabilities, computed by itself."""
    return np.concatenate([classifier.probabilities(picture[None]) for picture in pictures])


def test_scores_are_those_of_the_original_network(alone: Probabilities) -> None:
    with np.load(LOGITS) as stored:
        logits = np.stack([stored[name] for name in sorted(stored)]).astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    assert np.abs(np.log(alone.astype(np.float64)) - expected).max() < 1e-3


def test_rows_sum_to_one(alone: Probabilities, classifier: Classifier) -> None:
    assert (alone.dtype.name, alone.shape) == ("float32", (6, len(classifier.labels)))
    np.testing.assert_allclose(alone.sum(axis=1), 1, atol=1e-5)


def test_a_picture_scores_the_same_bits_in_any_company(
    classifier: Classifier, pictures: Pixels, alone: Probabilities
) -> None:
    for order in ([5, 4, 3, 2, 1, 0], [2, 2, 2], [0, 3]):
        assert np.array_equal(classifier.probabilities(pictures[order]), alone[order])


def test_the_number_of_threads_changes_no_bit(
    lite0: Artifact, pictures: Pixels, alone: Probabilities
) -> None:
    single = load_classifier(lite0, threads=1)

    assert np.array_equal(single.probabilities(pictures[:2]), alone[:2])
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("tile", [2, 4])
def test_a_tile_that_is_filled_up_does_not_depend_on_its_filling(
    by_torch: Classifier, pictures: Pixels, alone: Probabilities, tile: int
) -> None:
    tiled = replace(by_torch, tile=tile)
    expected = tiled.probabilities(pictures[[0, 1, 2, 3]])

    assert np.array_equal(tiled.probabilities(pictures[[3, 2, 0]]), expected[[3, 2, 0]])
    np.testing.assert_allclose(expected, alone[:4], atol=1e-5)


def test_a_batch_of_nothing_gives_nothing(classifier: Classifier, pictures: Pixels) -> None:
    assert classifier.probabilities(pictures[:0]).shape == (0, 1000)


@pytest.mark.parametrize("shape", [(224, 224, 3), (1, 3, 224, 224)])
def test_a_batch_of_another_shape_is_refused(
    classifier: Classifier, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="uint8"):
        classifier.probabilities(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("no_number", [np.nan, np.inf])
def test_a_picture_without_a_number_has_no_effect_on_the_others(
    no_number: float, classifier: Classifier, pictures: Pixels
) -> None:
    odd = pictures[:3].copy()
    odd[1] = 255

    def overflows(tile: Pixels) -> Logits:
        logits = classifier.logits(tile).copy()
        logits[(tile == 255).all(axis=(1, 2, 3)), 7] = no_number
        return logits

    scores = replace(classifier, logits=overflows).probabilities(odd)
    alone = replace(classifier, logits=overflows).probabilities(odd[1:2])
    assert np.isnan(scores[1]).all() and np.isnan(alone).all()
    np.testing.assert_array_equal(scores[::2], classifier.probabilities(odd)[::2])


def test_a_model_without_a_number_for_any_picture_is_an_error(
    classifier: Classifier, pictures: Pixels
) -> None:
    def broken(tile: Pixels) -> Logits:
        return np.full((len(tile), 1000), np.nan, np.float32)

    with pytest.raises(ScoresNotFinite):
        replace(classifier, logits=broken).probabilities(pictures[:1])


@pytest.mark.parametrize("device", ["toaster", "mps", "cuda:99"])
def test_a_device_that_is_not_there_is_named(lite0: Artifact, device: str) -> None:
    with pytest.raises(DeviceUnavailable, match=device):
        load_classifier(lite0, device=device)
