"""A model as an ONNX file, for runtimes that know nothing of this project."""

import importlib
import importlib.util
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch

from imgq_trainer.artifacts import Artifact
from imgq_trainer.errors import EngineUnavailable
from imgq_trainer.networks import PixelNetwork, pixel_network
from imgq_trainer.openvino_engine import import_openvino
from imgq_trainer.training.errors import ExportFailed

OPSET = 17
#: noise and smooth slopes, which networks see very differently
SAMPLES = 8
#: of two probabilities that are called the same
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the file's probabilities are from the model's, on some made-up pictures."""

    pictures: int
    largest_difference: float
    same_labels: int
    #: what computed the file
    runtime: str


class _Probabilities(torch.nn.Module):
    """(B, H, W, 3) of uint8 to calibrated probabilities, (B, K)."""

    def __init__(self, seeing: PixelNetwork, temperature: float) -> None:
        super().__init__()
        self.seeing = seeing
        self.temperature = temperature

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.seeing(pictures) / self.temperature, 1)


def export_onnx(artifact: Artifact, file: Path) -> Parity:
    """Write a model to a file, and compare what the file computes with the model.

    The file takes `pictures`, (B, crop, crop, 3) of uint8, prepared as the artifact says, and
    gives `probabilities`, (B, K); its metadata hold labels, preprocessing and the model's digest.
    Raises ExportFailed, if need be before anything is written, and ArtifactInvalid.
    """
    if importlib.util.find_spec("onnx") is None:
        raise ExportFailed("the package onnx is missing", "pip install 'imgq[export]'")
    model = _Probabilities(pixel_network(artifact), artifact.model.temperature).eval()
    side = artifact.model.preprocessing.crop
    fresh = file.with_name(f".{file.name}.{uuid4().hex}.new")
    try:
        _write(model, side, fresh)
        _describe(fresh, artifact)
        parity = _compare(model, side, fresh)
        if parity.largest_difference > TOLERANCE or parity.same_labels < parity.pictures:
            raise ExportFailed(f"the file computes something else ({parity})")
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    return parity


def _write(model: _Probabilities, side: int, file: Path) -> None:
    axes = {"pictures": {0: "batch"}, "probabilities": {0: "batch"}}
    with warnings.catch_warnings():
        # The exporter of traces needs one package more, and its successor six; both are kept up.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                model,
                (torch.zeros(2, side, side, 3, dtype=torch.uint8),),
                str(file),
                dynamo=False,
                opset_version=OPSET,
                input_names=["pictures"],
                output_names=["probabilities"],
                dynamic_axes=axes,
            )
        except Exception as error:  # each operation that ONNX lacks has its own way to say so
            raise ExportFailed(f"ONNX cannot hold its network ({error})") from error


def _describe(file: Path, artifact: Artifact) -> None:
    onnx: Any = importlib.import_module("onnx")
    document: Any = onnx.load(str(file))
    facts = {
        "labels": list(artifact.model.labels),
        "preprocessing": asdict(artifact.model.preprocessing),
        "digest": artifact.digest,
    }
    for name, value in facts.items():
        entry = document.metadata_props.add()
        entry.key, entry.value = name, json.dumps(value)
    onnx.save(document, str(file))


def _compare(model: _Probabilities, side: int, file: Path) -> Parity:
    try:
        openvino = import_openvino()
    except ImportError as error:
        raise ExportFailed(
            "its parity cannot be checked without openvino", "pip install 'imgq[cpu]'"
        ) from error
    pictures = _samples(side)
    with torch.inference_mode():
        expected = model(torch.from_numpy(pictures)).numpy()
    try:
        hints = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(str(file), "CPU", hints)
        (computed,) = compiled([pictures]).values()
    except RuntimeError as error:
        raise EngineUnavailable("openvino", f"it cannot read the file ({error})") from error
    same = int((computed.argmax(1) == expected.argmax(1)).sum())
    difference = float(np.abs(computed - expected).max())
    version = str(openvino.__version__).partition("-")[0]
    return Parity(len(pictures), difference, same, f"openvino-{version}")


def _samples(side: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (SAMPLES // 2, side, side, 3))
    slope = np.linspace(0, 1, side)[None, :, None, None] * draw.uniform(0, 255, (4, 1, side, 3))
    return np.concatenate([noise, slope]).astype(np.uint8)
