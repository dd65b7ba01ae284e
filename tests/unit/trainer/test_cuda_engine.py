import logging

import numpy as np
import pytest
import torch

from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier, load_classifier
from imgq_trainer.cuda_engine import SLOTS, make_slots, told_plainly
from imgq_trainer.cuda_stream import CaptureFailed
from imgq_trainer.engines import precisions
from imgq_trainer.errors import DeviceBroken, DeviceMemoryFull, TrainerError
from imgq_trainer.networks import PixelNetwork, pixel_network
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.slots import Forward, PlainStream, sample_tile

SHAPE = (1, 224, 224, 3)
GPU = torch.device("cuda:0")


class UncapturableStream(PlainStream):
    """Stands in for a GPU whose model cannot be captured."""

    def __init__(self, graphs: bool) -> None:
        self.graphs = graphs

    def prepare(self, forward: Forward) -> Forward:
        if self.graphs:
            raise CaptureFailed("the model asks the device for a number")
        return forward


@pytest.fixture(scope="module")
def network(lite0: Artifact) -> PixelNetwork:
    return pixel_network(lite0).to(memory_format=torch.channels_last)


def test_a_model_that_cannot_be_captured_is_computed_all_the_same(
    network: PixelNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        slots = make_slots(network, SHAPE, UncapturableStream)

    assert len(slots) == SLOTS
    assert slots[0].compute(sample_tile(SHAPE)).shape == (1, 1000)
    assert "without CUDA graphs, more slowly: the model asks the device" in caplog.text


@pytest.mark.parametrize(
    ("raised", "error", "sentence"),
    [
        (torch.OutOfMemoryError("Tried to allocate"), DeviceMemoryFull, "too little free memory"),
        (
            RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED\nmore\n"),
            DeviceBroken,
            "'cuda:0' failed .* CUDNN_STATUS_EXECUTION_FAILED.$",
        ),
    ],
)
def test_what_a_device_raises_becomes_a_sentence(
    raised: Exception, error: type[TrainerError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence), told_plainly(GPU):
        raise raised


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ValueError, match="a tile is"), told_plainly(GPU):
        raise ValueError("a tile is")


def test_the_networks_own_statistics_are_not_rounded(lite0: Artifact) -> None:
    exact, rounded = pixel_network(lite0), pixel_network(lite0)
    rounded.compute_in_bf16()
    types = {
        type(part).__name__: {value.dtype for value in part.parameters()}
        for part in rounded.modules()
        if any(True for _ in part.parameters(recurse=False))
    }

    assert types == {
        "Conv2d": {torch.bfloat16},
        "Conv2dSame": {torch.bfloat16},
        "Linear": {torch.bfloat16},
        "BatchNormAct2d": {torch.float32},
    }
    before, after = (
        {name: value for name, value in one.state_dict().items() if "running" in name}
        for one in (exact, rounded)
    )
    assert all(torch.equal(before[name], after[name]) for name in before)


if torch.cuda.is_available():  # never run yet: docs/gpu.md

    @pytest.fixture(scope="module", params=precisions("cuda"))
    def on_gpu(request: pytest.FixtureRequest, lite0: Artifact) -> Classifier:
        return load_classifier(lite0, device="cuda", precision=request.param)

    def test_a_gpu_gives_the_labels_of_the_cpu(
        on_gpu: Classifier, classifier: Classifier, crops: Pixels
    ) -> None:
        exact, found = classifier.probabilities(crops), on_gpu.probabilities(crops)
        same = exact.argmax(axis=1) == found.argmax(axis=1)
        assert same[exact.max(axis=1) > 0.5].all()
        assert same.mean() >= (0.99 if on_gpu.precision == "exact" else 0.95)

    def test_a_gpu_scores_a_picture_the_same_in_any_company(
        on_gpu: Classifier, crops: Pixels
    ) -> None:
        expected = on_gpu.probabilities(crops[:40])
        assert np.array_equal(on_gpu.probabilities(crops[7:9]), expected[7:9])

    def test_a_model_too_large_for_the_gpu_is_refused_in_words(
        lite0: Artifact, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("imgq_trainer.cuda_engine.TILE", 1 << 17)
        with pytest.raises(DeviceMemoryFull):
            load_classifier(lite0, device="cuda")
