"""A version in another format, written by a trainer and kept beside the artifact."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from imgq_db.artifacts import import_artifact
from imgq_db.deleting_versions import delete_version
from imgq_db.errors import ExportUnavailable
from imgq_db.exporting import ONNX, ask_export, exported
from imgq_db.jobs import JobState, get_job
from imgq_db.models import ModelVersion
from imgq_db.settings import Settings
from imgq_db.verifying import verify_job
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.loop import train

EXPORTER = """
import json, pathlib, sys
assert sys.argv[1] == "export"
spec = json.loads(pathlib.Path(sys.argv[2]).read_text())
assert (pathlib.Path(spec["artifact"]) / "model.json").is_file()
folder = pathlib.Path(spec["work_dir"], "export")
folder.mkdir()
(folder / "model.onnx").write_text("layers")
print(json.dumps({"event": "done", "export": str(folder), "metrics": {"same_labels": 8}}))
"""


@pytest.fixture
def version(engine: Engine, settings: Settings, tmp_path: Path) -> ModelVersion:
    folder = tmp_path / "artifact"
    folder.mkdir()
    header = b'{"head.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(8)
    (folder / "weights.safetensors").write_bytes(weights)
    how = {"resize": 8, "crop": 8, "interpolation": "bilinear"}
    document = {
        "format": "imgq-model/1",
        "architecture": {"library": "timm", "name": "resnet18", "arguments": {}},
        "labels": ["jay", "wren"],
        "preprocessing": {**how, "mean": [0.5] * 3, "std": [0.5] * 3},
        "weights": {"file": "weights.safetensors", "sha256": hashlib.sha256(weights).hexdigest()},
        "temperature": 1.0,
        "metrics": {},
        "provenance": {},
    }
    (folder / "model.json").write_text(json.dumps(document))
    return import_artifact(engine, settings, "birds", folder)


@pytest.fixture
def exporter(context: TrainerContext, tmp_path: Path) -> TrainerContext:
    (tmp_path / "exporter.py").write_text(EXPORTER)
    return replace(context, command=(sys.executable, str(tmp_path / "exporter.py")))


def test_an_export_is_written_once_and_its_parity_recorded(
    engine: Engine, settings: Settings, exporter: TrainerContext, version: ModelVersion
) -> None:
    with pytest.raises(ExportUnavailable):
        exported(settings, version, ONNX)
    uid = ask_export(engine, version, ONNX)
    assert ask_export(engine, version, ONNX) == uid
    train(exporter)
    job = get_job(engine, uid)
    assert (job.state, job.error) == (JobState.SUCCEEDED, None)
    assert job.result and job.result["metrics"] == {"same_labels": 8}
    assert (exported(settings, version, ONNX) / "model.onnx").read_text() == "layers"
    checks = verify_job(engine, uid, settings=settings)
    assert [check.rule for check in checks if not check.holds] == []


def test_an_export_goes_with_its_version(
    engine: Engine,
    settings: Settings,
    exporter: TrainerContext,
    version: ModelVersion,
    execute: Callable[[str], None],
) -> None:
    ask_export(engine, version, ONNX)
    train(exporter)
    execute("DELETE FROM job")
    delete_version(engine, settings, version)
    assert not exported_folder(settings, version).exists()


def exported_folder(settings: Settings, version: ModelVersion) -> Path:
    assert version.digest is not None
    return settings.data_dir / "exports" / version.digest
