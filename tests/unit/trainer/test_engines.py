import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imgq_trainer import engines
from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier, Probabilities, load_classifier
from imgq_trainer.engines import EngineName, choose_engine, precisions
from imgq_trainer.errors import EngineUnavailable, PrecisionUnsupported
from imgq_trainer.plain_jpeg import decoder_name
from imgq_trainer.preprocessing import Pixels


def cpu_info(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse2\n\nprocessor\t: 1\n")
    return path


def scores(classifier: Classifier, pictures: Pixels) -> Probabilities:
    return np.concatenate([classifier.probabilities(picture[None]) for picture in pictures])


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_openvino_is_chosen_for_the_cpu_alone() -> None:
    assert choose_engine("auto", "cpu") is EngineName.OPENVINO
    assert choose_engine("auto", "cuda:1") is EngineName.TORCH
    assert choose_engine("torch", "cpu") is EngineName.TORCH


@pytest.mark.usefixtures("without_openvino")
def test_torch_is_chosen_where_nothing_faster_is_installed() -> None:
    assert choose_engine("auto", "cpu") is EngineName.TORCH


@pytest.mark.usefixtures("without_openvino")
def test_an_engine_that_is_not_installed_is_named() -> None:
    with pytest.raises(EngineUnavailable, match=r"'openvino' .* not installed"):
        choose_engine("openvino", "cpu")


@pytest.mark.parametrize(
    ("asked", "device", "why"),
    [("openvino", "cuda:0", "CPU only, not on cuda:0"), ("steam", "cpu", "openvino and torch")],
)
def test_an_engine_that_does_not_fit_is_refused(asked: str, device: str, why: str) -> None:
    with pytest.raises(EngineUnavailable, match=why):
        choose_engine(asked, device)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx512f avx512_bf16", ("bf16", "exact")),
        ("amx_bf16", ("bf16", "exact")),
        ("avx512_vnni avx512_bf16", ("bf16", "exact", "int8")),
        ("avx_vnni", ("exact", "int8")),
        ("avx512f", ("exact",)),
    ],
)
def test_a_processors_flags_tell_its_precisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(engines, "CPU_INFO", cpu_info(tmp_path, flags))
    assert precisions("cpu", EngineName.OPENVINO) == expected
    assert precisions("cpu", EngineName.TORCH) == tuple(each for each in expected if each != "int8")


def test_where_nothing_is_known_of_the_processor_it_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "CPU_INFO", tmp_path / "absent")
    assert (precisions("cpu"), precisions("cuda:99")) == (("exact",), ("exact",))


def test_a_precision_that_the_device_lacks_is_refused(
    lite0: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "CPU_INFO", cpu_info(tmp_path, ""))
    with pytest.raises(PrecisionUnsupported, match="'bf16' is not available here, only 'exact'"):
        load_classifier(lite0, precision="bf16")


def test_int8_is_refused_by_torch(lite0: Artifact) -> None:
    with pytest.raises(PrecisionUnsupported, match="'int8' is not available here, only"):
        load_classifier(lite0, precision="int8", engine="torch")


def test_a_classifier_names_its_engine_precision_and_decoder(
    classifier: Classifier, by_torch: Classifier
) -> None:
    engine, *rest = classifier.engine.split("/")
    assert engine.startswith("openvino-20")
    assert rest == ["exact", decoder_name()]
    assert by_torch.engine.startswith("torch-2")
    assert f"cpu/exact/{decoder_name()}" in by_torch.engine


def test_the_engines_agree_in_exact_mode(
    classifier: Classifier, by_torch: Classifier, pictures: Pixels
) -> None:
    np.testing.assert_allclose(
        scores(classifier, pictures), scores(by_torch, pictures), rtol=0, atol=1e-4
    )


@pytest.fixture(params=["in_bf16", "in_bf16_by_torch"])
def fast(request: pytest.FixtureRequest) -> Classifier:
    found: Classifier = request.getfixturevalue(request.param)
    return found


def test_bf16_gives_the_same_label_where_the_exact_one_is_sure(
    fast: Classifier, classifier: Classifier, crops: Pixels
) -> None:
    some = crops[::2]
    exact, found = classifier.probabilities(some), fast.probabilities(some)

    same = exact.argmax(axis=1) == found.argmax(axis=1)
    assert same[exact.max(axis=1) > 0.5].all()
    assert same.mean() >= 0.9
    assert fast.precision == "bf16"
    assert not np.array_equal(exact, found)


def test_a_picture_scores_the_same_bits_in_any_company_in_bf16(
    fast: Classifier, pictures: Pixels
) -> None:
    alone = scores(fast, pictures)

    for order in ([5, 4, 3, 2, 1, 0], [2, 2, 2], [0, 3]):
        assert np.array_equal(fast.probabilities(pictures[order]), alone[order])


def test_a_model_that_openvino_cannot_convert_is_computed_by_torch(
    lite0: Artifact, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> object:
        raise RuntimeError("an operation without a name")

    monkeypatch.setattr("imgq_trainer.openvino_engine._convert", refuse)
    with caplog.at_level(logging.WARNING):
        assert load_classifier(lite0).engine.startswith("torch-")
    assert "an operation without a name" in caplog.text
    with pytest.raises(EngineUnavailable, match="an operation without a name"):
        load_classifier(lite0, engine="openvino")


def test_importing_openvino_reports_to_nobody(classifier: Classifier) -> None:
    assert sys.modules["openvino_telemetry"] is None


def test_temperature_is_applied_by_both_engines(
    lite0: Artifact, pictures: Pixels, by_torch: Classifier
) -> None:
    warm = replace(lite0, model=replace(lite0.model, temperature=2.0))
    expected = np.sqrt(scores(by_torch, pictures[:1]).astype(np.float64))

    for engine in EngineName:
        found = load_classifier(warm, engine=engine).probabilities(pictures[:1])
        np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-3)
