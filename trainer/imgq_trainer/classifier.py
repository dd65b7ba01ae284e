"""A model in memory that turns squares of pixels into probabilities, the same ones every time."""

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from imgq_trainer.artifacts import Artifact, Preprocessing
from imgq_trainer.crew import usable_cores
from imgq_trainer.cuda_decoding import NAME, decode_on_device, device_decodes
from imgq_trainer.engines import (
    EXACT,
    INT8,
    Engine,
    EngineName,
    Logits,
    Tile,
    check_precision,
    choose_engine,
    compute_tile,
)
from imgq_trainer.errors import DeviceUnavailable, EngineUnavailable, ScoresNotFinite
from imgq_trainer.networks import PixelNetwork, pixel_network
from imgq_trainer.openvino_engine import openvino_engine
from imgq_trainer.plain_jpeg import decoder_name
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.ranges import Ranges
from imgq_trainer.torch_engine import torch_engine

#: of the ranges' digest, in an engine's name
SHOWN_DIGITS = 12

Probabilities = npt.NDArray[np.float32]
#: Files, and the most pixels that a picture may have, to their squares of pixels; None for a file
#: that is to be decoded the usual way.
DecodeAhead = Callable[[Sequence[bytes], int], Sequence[Pixels | None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Classifier:
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float
    precision: str
    device: str
    #: what computes, in which precision, from whose pixels: equal names give equal predictions
    engine: str
    #: how many threads may read, decode and compute side by side
    threads: int
    #: pictures that are computed at once
    tile: int
    #: (tile, H, W, 3) of uint8 -> (tile, K)
    logits: Callable[[Tile], Logits]
    #: what the device decodes by itself; None: nothing
    decode_ahead: DecodeAhead | None = None

    def probabilities(self, batch: npt.ArrayLike) -> Probabilities:
        """Return class probabilities for pictures that were cut to size; safe to call in threads.

        batch: (B, H, W, 3), uint8, 0..255.
        Result: (B, K), float32, rows sum to 1. A row depends on its picture alone, to the last
        bit: neither on B nor on the other pictures. All NaN: the model gives no number for it.
        Raises ScoresNotFinite if the model gives none for any picture.
        """
        pictures = np.asarray(batch)
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3:
            raise ValueError("the batch must be (B, H, W, 3) of uint8")
        tiles = [pictures[at : at + self.tile] for at in range(0, len(pictures), self.tile)]
        if not tiles:
            return np.empty((0, len(self.labels)), np.float32)
        logits = np.concatenate([compute_tile(self.logits, self.tile, tile) for tile in tiles])
        scores = _softmax(np.divide(logits, self.temperature, dtype=np.float32))
        numbers = np.isfinite(scores).all(axis=1)
        if not numbers.any() and not self._is_sound(pictures.shape[1:]):
            raise ScoresNotFinite
        scores[~numbers] = np.nan
        return scores

    def _is_sound(self, shape: tuple[int, ...]) -> bool:
        """Tell a broken model from pictures that are too much for it: a black one never is."""
        black = np.zeros((1, *shape), np.uint8)
        return bool(np.isfinite(compute_tile(self.logits, self.tile, black)).all())


def load_classifier(
    artifact: Artifact,
    *,
    device: str = "cpu",
    precision: str = EXACT,
    threads: int | None = None,
    engine: str = "auto",
    ranges: Ranges | None = None,
    gpu_decode: bool = False,
) -> Classifier:
    """Build the artifact's network on a device, ready to classify.

    device: "cpu", "cuda" or "cuda:N". threads: how many cores to use, None for all that the
    process may use. engine: "auto", "openvino" or "torch". ranges: what int8 needs, and nothing
    else. gpu_decode: let a GPU decode JPEG files, where it can and nothing is exact. From here on
    torch computes each operation of this process on one thread: results do not vary with the
    number of cores.
    Raises ArtifactInvalid, ArchitectureUnknown, DeviceUnavailable, EngineUnavailable,
    PrecisionUnsupported, QuantisationRefused, RangesInvalid.
    """
    place = find_device(device)
    check_precision(precision, device, choose_engine(engine, str(place)))
    if threads is not None and threads < 1:
        raise ValueError("threads must be at least 1")
    torch.set_num_threads(1)  # pictures are handled side by side, each on one thread
    cores = threads or usable_cores()
    network, crop = pixel_network(artifact), artifact.model.preprocessing.crop
    ready = ready_engine(network, crop, place, precision, cores, asked=engine, ranges=ranges)
    arithmetic = f"{precision}-{ranges.digest[:SHOWN_DIGITS]}" if ranges else precision
    model = artifact.model
    ahead = device_decodes(str(place), precision, wanted=gpu_decode)
    decoders = f"{NAME}+{decoder_name()}" if ahead else decoder_name()
    return Classifier(
        labels=model.labels,
        preprocessing=model.preprocessing,
        temperature=model.temperature,
        precision=precision,
        device=str(place),
        engine=f"{ready.name}/{arithmetic}/{decoders}",
        threads=cores,
        tile=ready.tile,
        logits=ready.logits,
        decode_ahead=functools.partial(_decode, model.preprocessing, str(place)) if ahead else None,
    )


def ready_engine(
    network: PixelNetwork,
    crop: int,
    place: torch.device,
    precision: str,
    threads: int,
    *,
    asked: str = "auto",
    ranges: Ranges | None = None,
) -> Engine:
    """Compile a network for a device; torch computes what OpenVINO does not know.

    crop: the side of a picture in pixels. asked: an engine's name, or "auto".
    Raises EngineUnavailable, QuantisationRefused, RangesInvalid.
    """
    if choose_engine(asked, str(place)) is EngineName.OPENVINO:
        try:
            return openvino_engine(network, crop, precision, threads, ranges)
        except EngineUnavailable as error:
            if asked != "auto" or precision == INT8:
                raise
            _log.warning("torch computes this model. %s", error)
    return torch_engine(network, crop, place, precision)


def _decode(
    how: Preprocessing, device: str, files: Sequence[bytes], max_pixels: int
) -> list[Pixels | None]:
    return decode_on_device(files, how, device, max_pixels=max_pixels)


def _softmax(logits: Logits) -> Probabilities:
    with np.errstate(invalid="ignore"):  # the caller looks for what is no number
        grown = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores: Probabilities = grown / grown.sum(axis=1, keepdims=True)
    return scores


def find_device(text: str) -> torch.device:
    """Return a device that is there. Raises DeviceUnavailable."""
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise DeviceUnavailable(text, "there is no such kind of device") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceUnavailable(text, "only cpu and cuda are known here")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise DeviceUnavailable(text, "no CUDA device is present")
        if (device.index or 0) >= torch.cuda.device_count():
            raise DeviceUnavailable(text, f"there are {torch.cuda.device_count()}")
    return device
