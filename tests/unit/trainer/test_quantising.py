import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from imgq_trainer import measuring
from imgq_trainer.architectures import build_network
from imgq_trainer.artifacts import Architecture, Artifact, Weights, load_artifact, write_artifact
from imgq_trainer.classifier import Classifier, load_classifier
from imgq_trainer.crew import Crew
from imgq_trainer.engines import INT8, EngineName, precisions
from imgq_trainer.errors import QuantisationRefused, RangesInvalid
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.measuring import LEAST_PICTURES, measure_ranges
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.ranges import Ranges

LIMITS = ReadLimits(max_pixels=10**7, max_file_bytes=10**7)
Measure = Callable[..., Ranges]

pytestmark = pytest.mark.skipif(
    INT8 not in precisions("cpu", EngineName.OPENVINO), reason="this processor has no VNNI"
)

OTHER_PROCESS = """
import sys, numpy as np
from pathlib import Path
from imgq_trainer.artifacts import load_artifact
from imgq_trainer.classifier import load_classifier
from imgq_trainer.ranges import Ranges

folder = Path(sys.argv[1])
ranges = Ranges.from_bytes((folder / "ranges").read_bytes())
small = load_classifier(load_artifact(folder / "small"), precision="int8", threads=1, ranges=ranges)
np.save(folder / "scores.npy", small.probabilities(np.load(folder / "pictures.npy")))
"""


@pytest.fixture(scope="module")
def folder(crops: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some cuts of photos, and a file that is none."""
    made = tmp_path_factory.mktemp("cuts")
    for number, crop in enumerate(crops[1:64:2]):
        Image.fromarray(crop).save(made / f"{number:03}.png")
    (made / "broken.png").write_bytes(b"no picture")
    return made


@pytest.fixture(scope="module")
def measure(folder: Path) -> Measure:
    """Measure ranges on so many files of the folder."""

    def run(artifact: Artifact, files: int, spare: int = 0) -> Ranges:
        names = sorted((os.fsencode(path.name) for path in folder.iterdir()), reverse=True)
        some, others = names[:files], names[files : files + spare]
        with Crew(2) as crew:
            return measure_ranges(artifact, folder, some, spare=others, limits=LIMITS, crew=crew)

    return run


@pytest.fixture(scope="module")
def small(lite0: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """Make a model of few weights, which are random."""

    def make(architecture: str) -> Artifact:
        torch.manual_seed(7)
        named = Architecture("timm", architecture, {})
        state = build_network(named, 10).state_dict()
        weights = safetensors.torch.save(state)
        model = replace(
            lite0.model,
            architecture=named,
            labels=lite0.model.labels[:10],
            weights=Weights("weights.safetensors", hashlib.sha256(weights).hexdigest()),
        )
        return write_artifact(tmp_path_factory.mktemp("models") / "small", model, weights)

    return make


@pytest.fixture(scope="module")
def ranges(lite0: Artifact, measure: Measure) -> Ranges:
    return measure(lite0, LEAST_PICTURES + 1)


@pytest.fixture(scope="module")
def in_int8(lite0: Artifact, ranges: Ranges) -> Classifier:
    return load_classifier(lite0, precision=INT8, threads=2, ranges=ranges)


def test_int8_keeps_the_labels_that_exact_is_sure_of(
    in_int8: Classifier, classifier: Classifier, crops: Pixels
) -> None:
    exact, found = classifier.probabilities(crops[::2]), in_int8.probabilities(crops[::2])

    same = exact.argmax(axis=1) == found.argmax(axis=1)
    assert same[exact.max(axis=1) > 0.5].all()
    assert same.mean() >= 0.85
    assert not np.array_equal(exact, found)


def test_a_picture_scores_the_same_bits_in_any_company_in_int8(
    in_int8: Classifier, pictures: Pixels
) -> None:
    alone = np.concatenate([in_int8.probabilities(picture[None]) for picture in pictures])

    for order in ([5, 4, 3, 2, 1, 0], [2, 2, 2], [0, 3]):
        assert np.array_equal(in_int8.probabilities(pictures[order]), alone[order])


def test_the_engines_name_tells_one_quantisation_from_another(
    in_int8: Classifier, ranges: Ranges
) -> None:
    assert in_int8.engine.split("/")[1] == f"int8-{ranges.digest[:12]}"
    assert ranges.digest != replace(ranges, high=ranges.high * 2).digest


def test_ranges_survive_being_stored(ranges: Ranges) -> None:
    again = Ranges.from_bytes(ranges.to_bytes())
    assert (again.to_bytes(), again.digest) == (ranges.to_bytes(), ranges.digest)
    assert ranges.pictures == LEAST_PICTURES  # one of the files was no picture


def test_another_process_computes_the_same_bits(
    small: Callable[[str], Artifact], measure: Measure, pictures: Pixels, tmp_path: Path
) -> None:
    resnet = small("test_resnet")
    resnet.folder.rename(tmp_path / "small")
    resnet = load_artifact(tmp_path / "small")
    found = measure(resnet, 24)
    (tmp_path / "ranges").write_bytes(found.to_bytes())
    np.save(tmp_path / "pictures.npy", pictures)
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, tmp_path], check=True)

    mine = load_classifier(resnet, precision=INT8, threads=2, ranges=found)
    theirs = np.load(tmp_path / "scores.npy")
    assert np.array_equal(mine.probabilities(pictures), theirs)
    assert not np.array_equal(load_classifier(resnet).probabilities(pictures), theirs)


def test_a_network_that_is_not_of_relu_is_refused_in_a_sentence(
    small: Callable[[str], Artifact], measure: Measure
) -> None:
    with pytest.raises(QuantisationRefused) as refused:
        measure(small("test_efficientnet"), LEAST_PICTURES)
    assert str(refused.value) == (
        "int8 is offered for networks whose activations are ReLU. This one computes"
        " Sigmoid and Swish: bf16 is as fast there, and keeps the labels."
    )


def test_too_few_pictures_are_refused(small: Callable[[str], Artifact], measure: Measure) -> None:
    with pytest.raises(QuantisationRefused, match="16 at least; this one has 14"):
        measure(small("test_resnet"), 15)


def test_where_pictures_are_too_few_the_spare_ones_are_measured_too(
    small: Callable[[str], Artifact], measure: Measure
) -> None:
    resnet = small("test_resnet")
    assert measure(resnet, 15, spare=6).pictures == 20  # one of the files is no picture
    assert measure(resnet, 17, spare=6).pictures == LEAST_PICTURES


def test_a_black_picture_is_a_picture(small: Callable[[str], Artifact], tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "black.png")
    names = [b"black.png"] * (LEAST_PICTURES + 1)
    with Crew(1) as crew:
        found = measure_ranges(small("test_resnet"), tmp_path, names, limits=LIMITS, crew=crew)
    assert found.pictures == LEAST_PICTURES + 1


def test_a_large_folder_is_sampled_evenly(
    lite0: Artifact, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []

    def classify(_: Classifier, __: Path, names: Sequence[bytes], **options: object) -> list[None]:
        seen.extend(names)
        return []

    monkeypatch.setattr(measuring, "classify_files", classify)
    with Crew(1) as crew, pytest.raises(QuantisationRefused):
        names = [b"%03d" % number for number in range(200)]
        measure_ranges(lite0, folder, names, limits=LIMITS, crew=crew)
    assert (len(seen), seen[:3], seen[-1]) == (128, [b"000", b"001", b"003"], b"198")


def test_ranges_of_another_graph_are_refused(
    small: Callable[[str], Artifact], ranges: Ranges
) -> None:
    with pytest.raises(RangesInvalid, match="measured on another graph"):
        load_classifier(small("test_resnet"), precision=INT8, ranges=ranges)


@pytest.mark.parametrize("content", [b"", b"no tensors at all"])
def test_damaged_ranges_are_refused(content: bytes) -> None:
    with pytest.raises(RangesInvalid, match="cannot be read"):
        Ranges.from_bytes(content)
