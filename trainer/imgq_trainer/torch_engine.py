"""torch: the engine for GPUs, and for CPUs where nothing faster is installed."""

import threading
from contextlib import nullcontext

import numpy as np
import torch

from imgq_trainer.engines import BF16, Engine, Logits, Tile
from imgq_trainer.networks import PixelNetwork

#: One picture at a time is the fastest on a CPU: EfficientNet-Lite0 took 18-25 ms of one thread
#: per picture in tiles of 1, 33-41 in tiles of 32 (2 cores of an AMD EPYC with AVX-512, fp32).
TILES = {"cpu": 1, "cuda": 32}


def torch_engine(network: PixelNetwork, device: torch.device, precision: str) -> Engine:
    """Move a network to a device."""
    if device.type == "cuda":
        _let_results_repeat()
    if precision == BF16:
        network.network.to(torch.bfloat16)
    ready = network.to(memory_format=torch.channels_last).to(device)
    # A GPU computes one tile at a time; meanwhile the other threads decode.
    turn = threading.Lock() if device.type == "cuda" else nullcontext()

    def logits(pictures: Tile) -> Logits:
        tile = torch.from_numpy(np.require(pictures, requirements="W"))  # torch wants it so
        if device.type == "cuda":
            tile = tile.pin_memory()
        with turn, torch.inference_mode():
            scores = ready(tile.to(device, non_blocking=True))
            values: Logits = scores.to(torch.float32).cpu().numpy()
        return values

    return Engine(f"torch-{torch.__version__}-{device.type}", TILES[device.type], logits)


def _let_results_repeat() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
