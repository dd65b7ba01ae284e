"""Engines: which ones can compute a network's scores here, and in which precisions."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgq_trainer.errors import EngineUnavailable, PrecisionUnsupported

Tile = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]

EXACT, BF16, INT8 = "exact", "bf16", "int8"
CPU_INFO = Path("/proc/cpuinfo")
FIRST_BF16_GPU = (8, 0)
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
INT8_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


class EngineName(StrEnum):
    OPENVINO = "openvino"
    TORCH = "torch"


@dataclass(frozen=True, slots=True)
class Engine:
    """A network that is ready to compute."""

    #: with its version, as in "openvino-2026.4.1"
    name: str
    #: how many pictures go through the network at once. The last bits of a score may depend on
    #: this number, so it is fixed, and short tiles are filled up.
    tile: int
    #: (tile, H, W, 3) of uint8 -> (tile, K); safe to call in several threads
    logits: Callable[[Tile], Logits]


def choose_engine(asked: str, device: str) -> EngineName:
    """Return the engine for a device, "cpu", "cuda" or "cuda:N".

    asked: "auto" for the fastest one that is installed. Raises EngineUnavailable.
    """
    installed = importlib.util.find_spec("openvino") is not None
    on_cpu = device.partition(":")[0] == "cpu"
    if asked == "auto":
        return EngineName.OPENVINO if installed and on_cpu else EngineName.TORCH
    if asked not in list(EngineName):
        raise EngineUnavailable(asked, f"there are {' and '.join(EngineName)}")
    if asked == EngineName.OPENVINO and not installed:
        raise EngineUnavailable(asked, "its package is not installed")
    if asked == EngineName.OPENVINO and not on_cpu:
        raise EngineUnavailable(asked, f"it computes on the CPU only, not on {device}")
    return EngineName(asked)


def precisions(device: str, engine: EngineName = EngineName.TORCH) -> tuple[str, ...]:
    """Return what an engine computes at full speed on the device: first what "auto" means there.

    That is the fastest one that keeps the labels. int8 is faster, but has to be asked for.
    """
    on_cpu = device.partition(":")[0] == "cpu"
    fast = _cpu_has(BF16_FLAGS) if on_cpu else _gpu_has_bf16(device)
    small = on_cpu and engine is EngineName.OPENVINO and _cpu_has(INT8_FLAGS)
    return (*((BF16,) if fast else ()), EXACT, *((INT8,) if small else ()))


def check_precision(precision: str, device: str, engine: EngineName) -> None:
    """Raise PrecisionUnsupported unless the device offers it."""
    if precision not in (offered := precisions(device, engine)):
        raise PrecisionUnsupported(precision, offered)


def _cpu_has(any_of: frozenset[str]) -> bool:
    try:
        text = CPU_INFO.read_text()
    except OSError:  # not Linux
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not any_of.isdisjoint(flags.split())


def _gpu_has_bf16(device: str) -> bool:
    import torch

    try:
        return torch.cuda.get_device_capability(device) >= FIRST_BF16_GPU
    except (AssertionError, RuntimeError, ValueError):  # loading a model there says what is wrong
        return False


def compute_tile(logits: Callable[[Tile], Logits], tile: int, pictures: Tile) -> Logits:
    """Run one tile, filled up to its full size: (1..tile, H, W, 3) -> (1..tile, K)."""
    missing = tile - len(pictures)
    if missing:
        filling = np.zeros((missing, *pictures.shape[1:]), np.uint8)
        pictures = np.concatenate([pictures, filling])
    return logits(np.ascontiguousarray(pictures))[: tile - missing]
