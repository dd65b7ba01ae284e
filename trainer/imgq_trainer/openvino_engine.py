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
from imgq_trainer.errors import EngineUnavailable
from imgq_trainer.networks import PixelNetwork

#: Pictures in a tile. A few whose values stay in the caches are the fastest (EfficientNet-Lite0 in
#: bf16, 2 busy cores of an AMD EPYC with AVX-512: 5.4 ms each in tiles of 4, 6.3 in tiles of 32),
#: unless the weights do not stay there: then more pictures share the way of them (resnet18 among
#: decoding threads: 4 % faster in tiles of 16 than of 4).
TILE, TILE_OF_LARGE = 4, 16
LARGE_PARAMETERS = 8_000_000
_HINTS = {BF16: "bf16"}


def openvino_engine(network: PixelNetwork, crop: int, precision: str, threads: int) -> Engine:
    """Convert and compile a network for as many pictures' tiles at once as there are threads.

    crop: the side of a picture in pixels. Raises EngineUnavailable.
    """
    openvino = _import_openvino()
    large = sum(p.numel() for p in network.parameters()) > LARGE_PARAMETERS
    tile = TILE_OF_LARGE if large else TILE
    try:
        model = _convert(openvino, network, (tile, crop, crop, 3))
    except Exception as error:  # each operation that it does not know has its own way
        raise EngineUnavailable("openvino", f"it cannot convert the model ({error})") from error
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
    return Engine(f"openvino-{version}", tile, logits)


def _import_openvino() -> ModuleType:
    """Import it without its telemetry, which would report every start to its maker."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return importlib.import_module("openvino")


def _convert(openvino: ModuleType, network: PixelNetwork, shape: tuple[int, ...]) -> object:
    example = torch.zeros(shape, dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated, and three times as fast
        trace: Any = torch.jit.trace
        traced = trace(network, example, check_trace=False)
        return openvino.convert_model(traced, example_input=example, input=[shape])
