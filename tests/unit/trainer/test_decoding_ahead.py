"""The seam at which a device decodes before the threads do: the CPU stands in for the device."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier, load_classifier
from imgq_trainer.cuda_decoding import decode_on_device
from imgq_trainer.outcomes import Outcome, Prediction
from imgq_trainer.pipeline import ReadLimits, classify_files
from imgq_trainer.preprocessing import Pixels

LIMITS = ReadLimits(max_pixels=1_000_000, max_file_bytes=1_000_000)


def outcomes(classifier: Classifier, folder: Path, names: list[bytes]) -> list[Outcome]:
    return list(classify_files(classifier, folder, names, top_k=1, limits=LIMITS))


def told(outcome: Outcome) -> object:
    return outcome.top if isinstance(outcome, Prediction) else outcome.code


def test_what_the_device_does_not_decode_is_decoded_as_ever(
    classifier: Classifier, photos: Path, tmp_path: Path
) -> None:
    photo = (photos / "coffee.jpg").read_bytes()
    for name, content in {"a.jpg": photo, "b.jpg": photo[:9000], "c.png": b"no picture"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "d.jpg").write_bytes((photos / "rocket.jpg").read_bytes())
    names, decoded = [b"a.jpg", b"b.jpg", b"c.png", b"d.jpg"], list[bool]()

    def ahead(files: Sequence[bytes], max_pixels: int) -> list[Pixels | None]:
        found = decode_on_device(files, classifier.preprocessing, "cpu", max_pixels=max_pixels)
        decoded.extend(pixels is not None for pixels in found)
        return found

    with_device = outcomes(replace(classifier, decode_ahead=ahead), tmp_path, names)

    assert [told(one) for one in with_device] == [
        told(one) for one in outcomes(classifier, tmp_path, names)
    ]
    assert (decoded.count(True), decoded.count(False)) == (2, 2)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_cpu_and_an_exact_classifier_decode_nothing_ahead(lite0: Artifact, wanted: bool) -> None:
    found = load_classifier(lite0, gpu_decode=wanted, threads=1)

    assert found.decode_ahead is None
    assert "nvjpeg" not in found.engine
