"""A model in memory that turns squares of pixels into probabilities, the same ones every time."""

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from imgq_trainer.architectures import load_network
from imgq_trainer.artifacts import Artifact, Preprocessing
from imgq_trainer.errors import DeviceUnavailable, PrecisionUnsupported, ScoresNotFinite

Probabilities = npt.NDArray[np.float32]

#: How many pictures go through the network at once, by kind of device. The last bits of a result
#: depend on this number, so it is fixed and short tiles are filled up. One is also the fastest on
#: a CPU: EfficientNet-Lite0 took 18-25 ms of one thread per picture in tiles of 1, 33-41 in tiles
#: of 32 (2 cores of an AMD EPYC with AVX-512, torch 2.14, 64 pictures, two runs).
TILES = {"cpu": 1, "cuda": 64}


@dataclass(frozen=True, slots=True)
class Classifier:
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    precision: str
    device: str
    #: how many tiles may be computed at a time; each takes one thread
    threads: int
    #: pictures per tile
    tile: int
    network: torch.nn.Module

    def probabilities(self, batch: npt.ArrayLike | torch.Tensor) -> Probabilities:
        """Return class probabilities for pictures that were cut to size; safe to call in threads.

        batch: (B, H, W, 3), uint8, 0..255.
        Result: (B, K), float32, rows sum to 1. A row depends on its picture alone, to the last
        bit: neither on B nor on the other pictures. Raises ScoresNotFinite.
        """
        pictures = torch.as_tensor(batch)
        if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
            raise ValueError("the batch must be (B, H, W, 3) of uint8")
        rows = (
            [self._compute(tile) for tile in torch.split(pictures, self.tile)]
            if len(pictures)
            else []
        )
        if not rows:
            return np.empty((0, len(self.labels)), np.float32)
        scores = torch.cat(rows)
        if not bool(torch.isfinite(scores).all()):
            raise ScoresNotFinite
        return scores.numpy()

    def _compute(self, pictures: torch.Tensor) -> torch.Tensor:
        """Run one tile, filled up to its full size: (1..tile, H, W, 3) -> (1..tile, K)."""
        missing = self.tile - len(pictures)
        if missing:
            pictures = torch.cat([pictures, pictures.new_zeros((missing, *pictures.shape[1:]))])
        with torch.inference_mode():
            scores: torch.Tensor = self.network(pictures.to(self.device))
        return scores[: self.tile - missing].cpu()


class _WholeModel(torch.nn.Module):
    """Normalisation, the network and the tempered softmax, as one module."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: torch.nn.Module, how: Preprocessing, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        self.register_buffer("mean", torch.tensor(how.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(how.std).view(1, 3, 1, 1))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        # (B, H, W, 3) -> (B, 3, H, W), which is channels_last in memory already
        values = pictures.permute(0, 3, 1, 2).to(torch.float32).div(255.0)
        logits = self.network(values.sub(self.mean).div(self.std))
        return torch.softmax(logits.to(torch.float32) / self.temperature, dim=1)


def load_classifier(
    artifact: Artifact, *, device: str = "cpu", precision: str = "exact", threads: int | None = None
) -> Classifier:
    """Build the artifact's network on a device, ready to classify.

    device: "cpu", "cuda" or "cuda:N". threads: how many cores to use, None for all that the
    process may use. From here on torch computes each operation of this process on one thread:
    several pictures side by side use the cores better, and results do not vary with their number.
    Raises ArtifactInvalid, ArchitectureUnknown, DeviceUnavailable, PrecisionUnsupported.
    """
    if precision != "exact":
        raise PrecisionUnsupported(precision)
    place = _device(device)
    if threads is not None and threads < 1:
        raise ValueError("threads must be at least 1")
    torch.set_num_threads(1)
    model = artifact.model
    whole = _WholeModel(load_network(artifact), model.preprocessing, model.temperature)
    return Classifier(
        labels=model.labels,
        preprocessing=model.preprocessing,
        precision=precision,
        device=str(place),
        threads=1 if place.type == "cuda" else threads or usable_cores(),
        tile=TILES[place.type],
        network=whole.eval().to(memory_format=torch.channels_last).to(place),
    )


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _device(text: str) -> torch.device:
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise DeviceUnavailable(text, "there is no such kind of device") from error
    if device.type not in TILES:
        raise DeviceUnavailable(text, "only cpu and cuda are known here")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise DeviceUnavailable(text, "no CUDA device is present")
        if (device.index or 0) >= torch.cuda.device_count():
            raise DeviceUnavailable(text, f"there are {torch.cuda.device_count()}")
    return device
