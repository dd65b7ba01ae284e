"""torch on an NVIDIA GPU: CUDA graphs of a fixed tile, several tiles on their way at once.

docs/gpu.md tells which of this was never run on such a device.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from imgq_trainer.cuda_stream import CaptureFailed, CudaStream
from imgq_trainer.engines import Engine, Logits, Tile
from imgq_trainer.errors import DeviceBroken, DeviceMemoryFull
from imgq_trainer.networks import PixelNetwork
from imgq_trainer.slots import Slot, Slots, Stream, spread

#: Pictures in a tile. A thread brings one when it has decoded so many, so a larger tile leaves
#: threads idle at a job's end, and needs more chunks underway to keep 16 of them busy.
TILE = 32
#: Tiles on their way: one is staged or copied in, one computed, one copied out.
SLOTS = 3

_log = logging.getLogger(__name__)


def cuda_engine(network: PixelNetwork, crop: int, device: torch.device) -> Engine:
    """Move a network to a GPU and capture its forward pass, once for each tile on its way.

    Graphs remove what a small network loses most of its time to, the launch of each kernel, and
    are ready within a second; torch.compile fuses kernels too, after 20 to 70 s of compiling in
    every worker. Raises DeviceMemoryFull, DeviceBroken.
    """
    _let_results_repeat()
    with told_plainly(device):
        ready = network.to(memory_format=torch.channels_last).to(device)
        torch.cuda.synchronize(device)  # before other streams read the weights
        shape = (TILE, crop, crop, 3)
        made = make_slots(ready, shape, lambda graphs: CudaStream(device, graphs=graphs))
        _check_that_results_repeat(made, device)
        slots = Slots(made)

    def logits(pictures: Tile) -> Logits:
        with told_plainly(device):
            return slots.logits(pictures)

    return Engine(f"torch-{torch.__version__}-{_kind(device)}", TILE, logits)


def make_slots(
    network: PixelNetwork, shape: tuple[int, ...], make_stream: Callable[[bool], Stream]
) -> list[Slot]:
    """Make slots that replay graphs, or else, logging the reason, ones that run anew.

    shape: of a tile, (tile, H, W, 3). make_stream: takes whether graphs are wanted.
    """
    try:
        return [Slot(network, shape, make_stream(True)) for _ in range(SLOTS)]
    except CaptureFailed as error:
        _log.warning("this model is computed without CUDA graphs, more slowly: %s", error)
    return [Slot(network, shape, make_stream(False)) for _ in range(SLOTS)]


def _check_that_results_repeat(slots: list[Slot], device: torch.device) -> None:
    apart = spread(slots)
    if apart:
        _log.warning(
            "%s gives one picture logits up to %.3g apart, depending on its place in a tile",
            device,
            apart,
        )


@contextmanager
def told_plainly(device: torch.device) -> Iterator[None]:
    """Raise DeviceMemoryFull or DeviceBroken for whatever CUDA and its libraries raise."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryFull(str(device)) from error
    except RuntimeError as error:  # of CUDA, cuDNN, cuBLAS: each words it in its own way
        raise DeviceBroken(str(device), str(error).partition("\n")[0].rstrip(".")) from error


def _kind(device: torch.device) -> str:
    """Name what decides which kernels run: "cuda-sm90"."""
    major, minor = torch.cuda.get_device_capability(device)
    return f"cuda-sm{major}{minor}"


def _let_results_repeat() -> None:
    """Compute as precisely as asked, and the same way every time."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
