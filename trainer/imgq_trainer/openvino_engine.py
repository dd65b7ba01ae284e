"""OpenVINO: the fastest engine on a CPU."""

import importlib
import sys
import threading
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch

from imgq_trainer.engines import BF16, INT8, Engine, Logits, Tile
from imgq_trainer.errors import EngineUnavailable
from imgq_trainer.networks import PixelNetwork
from imgq_trainer.quantising import Measurement, quantise
from imgq_trainer.ranges import Ranges

#: Pictures in a tile. A few whose values stay in the caches are the fastest (EfficientNet-Lite0 in
#: bf16, 2 busy cores of an AMD EPYC with AVX-512: 5.4 ms each in tiles of 4, 6.3 in tiles of 32),
#: unless the weights do not stay there: then more pictures share the way of them (resnet18 among
#: decoding threads: 4 % faster in tiles of 16 than of 4).
TILE, TILE_OF_LARGE = 4, 16
LARGE_PARAMETERS = 8_000_000
_HINTS = {BF16: "bf16"}


def openvino_engine(
    network: PixelNetwork, crop: int, precision: str, threads: int, ranges: Ranges | None = None
) -> Engine:
    """Convert and compile a network for as many pictures' tiles at once as there are threads.

    crop: the side of a picture in pixels. ranges: what int8 needs, and nothing else.
    Raises EngineUnavailable, QuantisationRefused, RangesInvalid.
    """
    if (precision == INT8) != (ranges is not None):
        raise ValueError("int8 needs ranges, and nothing else has any")
    openvino = import_openvino()
    model, tile = _model(openvino, network, crop)
    if ranges is not None:
        quantise(openvino, model, ranges)
    infer = _compile(openvino, model, _HINTS.get(precision, "f32"), threads)

    def logits(pictures: Tile) -> Logits:
        (scores,) = infer(pictures)
        return scores

    return Engine(openvino_name(), tile, logits)


def measuring_engine(network: PixelNetwork, crop: int, threads: int) -> tuple[Engine, Measurement]:
    """Return an engine that computes exactly, and what it finds out about the values meanwhile.

    Its tiles are of one picture, so that nothing is ever filled up.
    Raises EngineUnavailable, QuantisationRefused.
    """
    openvino = import_openvino()
    tile = 1
    model = _converted(openvino, network, crop, tile)
    measurement, measuring = Measurement.begin(openvino, model)
    infer = _compile(openvino, measuring, "f32", threads)

    def logits(pictures: Tile) -> Logits:
        computed = infer(pictures)
        measurement.add(computed)
        return computed[0]

    return Engine(openvino_name(), tile, logits), measurement


def openvino_name() -> str:
    """Return the engine's name with its version, as in "openvino-2026.4.1"."""
    version: str = import_openvino().__version__.partition("-")[0]
    return f"openvino-{version}"


def _model(openvino: ModuleType, network: PixelNetwork, crop: int) -> tuple[Any, int]:
    large = sum(p.numel() for p in network.parameters()) > LARGE_PARAMETERS
    tile = TILE_OF_LARGE if large else TILE
    return _converted(openvino, network, crop, tile), tile


def _converted(openvino: ModuleType, network: PixelNetwork, crop: int, tile: int) -> Any:
    try:
        return _convert(openvino, network, (tile, crop, crop, 3))
    except Exception as error:  # each operation that it does not know has its own way
        raise EngineUnavailable("openvino", f"it cannot convert the model ({error})") from error


def _compile(
    openvino: ModuleType, model: Any, hint: str, threads: int
) -> Callable[[Tile], list[Logits]]:
    hints = {
        "INFERENCE_PRECISION_HINT": hint,
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,  # one for each stream
        "ENABLE_CPU_PINNING": False,  # other processes have a right to the cores too
    }
    compiled = openvino.Core().compile_model(model, "CPU", hints)
    mine = threading.local()

    def infer(pictures: Tile) -> list[Logits]:
        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        computed = mine.request.infer([pictures], share_inputs=True).values()
        return [np.asarray(each, np.float32) for each in computed]

    return infer


def import_openvino() -> ModuleType:
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
