"""torch: the engine for GPUs, and for CPUs where nothing faster is installed."""

import numpy as np
import torch

from imgq_trainer.cuda_engine import cuda_engine
from imgq_trainer.engines import BF16, Engine, Logits, Tile
from imgq_trainer.networks import PixelNetwork

#: One picture at a time is the fastest on a CPU: EfficientNet-Lite0 took 18-25 ms of one thread
#: per picture in tiles of 1, 33-41 in tiles of 32 (2 cores of an AMD EPYC with AVX-512, fp32).
CPU_TILE = 1


def torch_engine(network: PixelNetwork, crop: int, device: torch.device, precision: str) -> Engine:
    """Move a network to a device, in its precision.

    crop: the side of a picture in pixels. Raises DeviceMemoryFull, DeviceBroken.
    """
    if precision == BF16:
        network.compute_in_bf16()
    if device.type == "cuda":
        return cuda_engine(network, crop, device)
    return _cpu_engine(network)


def _cpu_engine(network: PixelNetwork) -> Engine:
    ready = network.to(memory_format=torch.channels_last)

    def logits(pictures: Tile) -> Logits:
        tile = torch.from_numpy(np.require(pictures, requirements="W"))  # torch wants it so
        with torch.inference_mode():
            values: Logits = ready(tile).to(torch.float32).numpy()
        return values

    return Engine(f"torch-{torch.__version__}-cpu", CPU_TILE, logits)
