import json
from pathlib import Path

import pytest

from imgq_trainer.artifacts import Artifact
from imgq_trainer.training.errors import ExportFailed
from imgq_trainer.training.exporting import SAMPLES, export_onnx


def test_the_exported_file_computes_what_the_model_computes(
    own_model: Artifact, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx", reason="comes with imgq[export]")

    parity = export_onnx(own_model, tmp_path / "model.onnx")

    assert (parity.pictures, parity.same_labels) == (SAMPLES, SAMPLES)
    assert parity.largest_difference < 1e-5
    facts = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(facts["labels"]) == ["a", "b"]
    assert json.loads(facts["digest"]) == own_model.digest
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ""] == ["model.onnx"]


def test_without_the_package_it_says_how_to_get_it(
    own_model: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ExportFailed, match="onnx is missing") as caught:
        export_onnx(own_model, tmp_path / "model.onnx")
    assert caught.value.hint == "pip install 'imgq[export]'"
