"""OpenVINO: the fastest engine on a CPU."""

import importlib
import sys
import threading
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import torch

from imgq_trainer.engines import BF16, Engine, Logits, Tile
from imgq_trainer.networks import PixelNetwork

#: Small enough for the caches: on 2 cores of an AMD EPYC with AVX-512, one thread took 5.4 ms a
#: picture for EfficientNet-Lite0 in bf16 and 10.9 in fp32; in tiles of 32 it took 6.3 and 12.5.
TILE = 4
_HINTS = {BF16: "bf16"}


def openvino_engine(network: PixelNetwork, crop: int, precision: str, threads: int) -> Engine:
    """Convert and compile a network for as many pictures' tiles at once as there are threads.

    crop: the side of a picture in pixels.
    """
    openvino = _import_openvino()
    model = _convert(openvino, network, crop)
    hints = {
        "INFERENCE_PRECISION_HINT": _HINTS.get(precision, "f32"),
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,  # one for each stream
        "ENABLE_CPU_PINNING": False,  # other processes have a right to the cores too
    }
    compiled = openvino.Core().compile_model(model, "CPU", hints)
    mine = threading.local()

    def logits(pictures: Tile) -> Logits:
        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        (scores,) = mine.request.infer([pictures], share_inputs=True).values()
        return np.asarray(scores, np.float32)

    version = openvino.__version__.partition("-")[0]
    return Engine(f"openvino-{version}", TILE, logits)


def _import_openvino() -> ModuleType:
    """Import it without its telemetry, which would report every start to its maker."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def _convert(openvino: ModuleType, network: PixelNetwork, crop: int) -> object:
    example = torch.zeros((TILE, crop, crop, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated, and three times as fast
        trace: Any = torch.jit.trace
        traced = trace(network, example, check_trace=False)
        return openvino.convert_model(traced, example_input=example, input=[example.shape])
