"""Pictures into features of a network without its head, computed by the engines that serve."""

import copy
import gc
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from imgq_trainer.classifier import ready_engine
from imgq_trainer.crew import Crew
from imgq_trainer.engines import Engine, choose_engine, compute_tile, precisions
from imgq_trainer.memory import is_out_of_memory
from imgq_trainer.networks import PixelNetwork
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.training.errors import OutOfMemory
from imgq_trainer.training.events import Stage
from imgq_trainer.training.pictures import Pictures, Progress, Stop, in_runs

Features = npt.NDArray[np.float32]
#: pictures that a thread takes at a time, at least
RUN = 16


def embed(
    network: nn.Module,
    pictures: Pictures,
    device: str,
    crew: Crew,
    stop: Stop,
    progress: Progress,
) -> Features:
    """Return every picture's features, (N, D), in the fastest precision that keeps labels.

    network: not changed. Raises DatasetChanged, PictureUnreadable, OutOfMemory, Stopped.
    """
    engine = _engine(network, pictures, device, crew.count)
    run = max(RUN // engine.tile, 1) * engine.tile
    while True:
        try:
            return _features(engine, pictures, run, crew, stop, progress)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Out of the handler: the error's traceback would keep the memory.
        gc.collect()
        if run == 1:
            raise OutOfMemory(Stage.PROBE)
        run //= 2


def _features(
    engine: Engine, pictures: Pictures, run: int, crew: Crew, stop: Stop, progress: Progress
) -> Features:
    """run: how many pictures a thread takes at a time."""

    def work(rows: range) -> Features:
        seen = centre(pictures.take(rows), pictures.how.crop)
        tiles = range(0, len(seen), engine.tile)
        return np.concatenate([_compute(engine, seen[at : at + engine.tile]) for at in tiles])

    parts = []
    for rows, part in in_runs(work, len(pictures), run, crew, stop):
        parts.append(part)
        progress(rows.stop, len(pictures))
    return np.concatenate(parts)


def centre(pixels: Pixels, side: int) -> Pixels:
    """Cut what is served out of pictures as they are stored: (B, S, S, 3) to (B, side, side, 3)."""
    start = (pixels.shape[1] - side) // 2
    return pixels[:, start : start + side, start : start + side]


def _engine(network: nn.Module, pictures: Pictures, device: str, threads: int) -> Engine:
    headless: Any = copy.deepcopy(network)
    headless.reset_classifier(0)
    seeing = PixelNetwork(headless, pictures.how).eval()
    precision = precisions(device, choose_engine("auto", device))[0]
    torch.set_num_threads(1)  # pictures are handled side by side, each on one thread
    return ready_engine(seeing, pictures.how.crop, torch.device(device), precision, threads)


def _compute(engine: Engine, pixels: Pixels) -> Features:
    features: Features = compute_tile(engine.logits, engine.tile, pixels)
    return features.reshape(len(pixels), -1)
