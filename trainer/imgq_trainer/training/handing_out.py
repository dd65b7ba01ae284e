"""An export from its beginning to its end: the file, and how near it is to the model."""

import json
from dataclasses import asdict

from imgq_trainer.artifacts import load_artifact
from imgq_trainer.training.events import Events
from imgq_trainer.training.exporting import export_onnx
from imgq_trainer.training.spec import ExportSpec

ONNX_FILE, PARITY_FILE = "model.onnx", "parity.json"


def run_export(spec: ExportSpec, events: Events) -> None:
    """Write work_dir/export; the last event is `done`. Raises TrainerError."""
    artifact = load_artifact(spec.artifact)
    events.scanned({}, ())
    folder = spec.work_dir / "export"
    folder.mkdir(parents=True, exist_ok=True)
    parity = asdict(export_onnx(artifact, folder / ONNX_FILE))
    told = json.dumps({"model": artifact.digest, **parity}, indent=1) + "\n"
    (folder / PARITY_FILE).write_text(told)
    events.done(metrics=parity, export=str(folder))
