"""A few places on a device, in each of which one tile is computed: threads take turns at them."""

import queue
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import torch

from imgq_trainer.engines import Logits, Tile
from imgq_trainer.networks import PixelNetwork

Forward = Callable[[], torch.Tensor]


class Stream(Protocol):
    """A device's queue of work, and the memory that the work is done in."""

    def host_memory(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Return memory of this machine that the device copies from and to by itself."""

    def device_memory(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Return memory of the device, of zeros."""

    def queued(self) -> AbstractContextManager[None]:
        """Queue what the block asks of the device, instead of waiting for each step."""

    def wait(self) -> None:
        """Wait for all that was queued."""

    def prepare(self, forward: Forward) -> Forward:
        """Return what does the same again, always on the same memory, as fast as can be."""


class PlainStream:
    """The CPU, which does everything at once."""

    def host_memory(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(tuple(shape), dtype=dtype)

    device_memory = host_memory

    def queued(self) -> AbstractContextManager[None]:
        return nullcontext()

    def wait(self) -> None:
        pass

    def prepare(self, forward: Forward) -> Forward:
        return forward


class Slot:
    """One tile's way through a device, over memory that stays where it is."""

    def __init__(self, network: PixelNetwork, shape: Sequence[int], stream: Stream) -> None:
        """shape: of a tile, (tile, H, W, 3)."""
        self._stream = stream
        self._staged = stream.host_memory(shape, torch.uint8)
        self._pictures = pictures = stream.device_memory(shape, torch.uint8)
        self.shape = tuple(shape)
        np.copyto(self._staged.numpy(), sample_tile(self.shape))
        with torch.inference_mode():
            with stream.queued():
                pictures.copy_(self._staged, non_blocking=True)
            stream.wait()
            self._forward = stream.prepare(lambda: network(pictures).to(torch.float32))
            with stream.queued():
                scores = self._forward()
            stream.wait()
        self._scores = stream.host_memory(scores.shape, torch.float32)

    def compute(self, pictures: Tile) -> Logits:
        """Return the logits of a full tile: (tile, H, W, 3) -> (tile, K)."""
        if pictures.shape != self.shape:
            raise ValueError(f"a tile is {self.shape}, not {pictures.shape}")
        np.copyto(self._staged.numpy(), pictures)
        try:
            with torch.inference_mode(), self._stream.queued():
                self._pictures.copy_(self._staged, non_blocking=True)
                self._scores.copy_(self._forward(), non_blocking=True)
        finally:
            self._stream.wait()  # nothing of this tile may meet the next one
        return self._scores.numpy().copy()


class Computes(Protocol):
    """What a Slot does, for whoever hands them out."""

    def compute(self, pictures: Tile) -> Logits: ...


class Slots:
    """Slots for any number of threads: who finds none free waits for one."""

    def __init__(self, slots: Sequence[Computes]) -> None:
        self._free: queue.SimpleQueue[Computes] = queue.SimpleQueue()
        for slot in slots:
            self._free.put(slot)

    def logits(self, pictures: Tile) -> Logits:
        """Return the logits of a full tile; safe to call in threads."""
        slot = self._free.get()
        try:
            return slot.compute(pictures)
        finally:
            self._free.put(slot)


def sample_tile(shape: Sequence[int]) -> Tile:
    """Return a tile whose pictures are all the same, of noise: (tile, H, W, 3)."""
    picture = np.random.default_rng(0).integers(0, 256, tuple(shape[1:]), np.uint8)
    return np.broadcast_to(picture, tuple(shape))


def spread(slots: Sequence[Slot]) -> float:
    """Return how far the logits of one picture lie apart, over all slots and places in a tile."""
    logits = np.concatenate([slot.compute(sample_tile(slot.shape)) for slot in slots])
    return float(np.ptp(logits, axis=0).max())
