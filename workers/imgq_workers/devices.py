"""Which device a worker computes on; a GPU that nobody named is leased to one worker alone."""

import functools
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from imgq_db.held_locks import HeldLock, hold_first_free
from imgq_db.settings import Settings

AUTO, ANY_GPU, CPU = "auto", "cuda", "cpu"
#: A worker that found every GPU taken looks again after so long.
RETRY_SECONDS = 30
#: So often the driver is asked in vain before the CPU is used meanwhile.
ANSWERS_AWAITED = 3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Gpu:
    #: as this process counts them: "cuda:1"
    device: str
    #: the same in every container and for every process
    uuid: str


class GpusTaken(Exception):
    """Every GPU is leased to another worker, and this one may not use the CPU instead.

    Or which ones there are is not known now.
    """


class GpuLost(Exception):
    """The lease on a GPU was lost after work for it was claimed, and the CPU cannot do it."""

    def __init__(self, instead: str) -> None:
        super().__init__(f"the GPU went to another worker, and {instead} lacks the precision")


def list_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that this process may see, by CUDA_VISIBLE_DEVICES and its container."""
    import torch

    if not torch.cuda.is_available():
        return ()
    visible = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return tuple(
        Gpu(f"cuda:{index}", gpu_uuid(index, visible, _torch_uuid))
        for index in range(torch.cuda.device_count())
    )


def gpu_uuid(index: int, visible: Sequence[str], ask: Callable[[int], str]) -> str:
    """Name a GPU, or the part of one that CUDA_VISIBLE_DEVICES gives by its MIG name.

    ask: tells the UUID of a whole GPU; not every driver tells its parts apart.
    """
    if index < len(visible) and visible[index].startswith("MIG-"):
        return visible[index]
    return ask(index)


def _torch_uuid(index: int) -> str:
    import torch

    return str(torch.cuda.get_device_properties(index).uuid)


class Devices:
    """The device of this process: the one that its settings name, or a GPU that was free.

    auto: a free GPU, or else the CPU. cuda: a free GPU, or else none. cpu and cuda:N: no question.
    A lease is a lock in Postgres that lasts as long as this process, or its connection.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        gpus: Callable[[], Sequence[Gpu]] = list_gpus,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._engine = engine
        on_cpu = settings.device == AUTO and settings.engine == "openvino"  # it knows no GPU
        self._setting = CPU if on_cpu else settings.device
        self._gpus = functools.cache(gpus)  # they stay what they are while this process lives
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0
        self._unanswered = 0
        self._lock: HeldLock | None = None
        self._more: list[HeldLock] = []
        self._last: str | None = None  # the GPU that the model may still be on
        self._current: str | None = None
        self._turn = threading.Lock()

    def take(self) -> str:
        """Return the device for the next work, after making sure of the lease.

        Raises GpusTaken; DBAPIError if the database is away.
        """
        with self._turn:
            if self._setting not in (AUTO, ANY_GPU):
                self._current = self._setting
            elif not (self._lock and self._lock.is_held()) and self._may_look():
                self._current = None
                self._current = self._find()
            if self._current is None:
                raise GpusTaken
            return self._current

    def current(self) -> str:
        """Return what was taken last, or take one. Raises like take()."""
        return self._current or self.take()

    def take_more(self, most: int) -> tuple[str, ...]:
        """Lease up to so many further GPUs, as far as they are free, beside the one that is taken.

        On a CPU: the CPU, so many times. A GPU that the settings name is the only one.
        """
        with self._turn:
            if self._current == CPU:
                return (CPU,) * most
            if self._lock is None:
                return ()
            taken = {self._lock.name, *(lock.name for lock in self._more)}
            free = {gpu.uuid: gpu.device for gpu in self._gpus() if gpu.uuid not in taken}
            found: list[str] = []
            while len(found) < most and (lock := hold_first_free(self._engine, list(free))):
                self._more.append(lock)
                found.append(free.pop(lock.name))
            if found:
                _log.info("gpus_taken", devices=found)
            return tuple(found)

    def give_back_more(self) -> None:
        """End the leases on further GPUs."""
        with self._turn:
            while self._more:
                self._more.pop().release()

    def give_back(self) -> None:
        """End the leases; a device that needs none stays."""
        self.give_back_more()
        with self._turn:
            if self._lock is not None:
                self._drop_lock()
                self._current = None

    def _may_look(self) -> bool:
        return self._lock is not None or time.monotonic() >= self._retry_at

    def _find(self) -> str | None:
        self._drop_lock()
        try:
            gpus = {gpu.uuid: gpu for gpu in self._gpus()}
        except GpusTaken:
            return self._without_answer()
        if not gpus:
            self._retry_at = float("inf")  # none will come while this process lives
            return CPU if self._setting == AUTO else ANY_GPU
        self._lock = hold_first_free(
            self._engine, sorted(gpus, key=lambda uuid: uuid != self._last)
        )
        if self._lock is None:
            self._retry_at = time.monotonic() + self._retry_seconds
            instead = CPU if self._setting == AUTO else None
            _log.warning("gpus_all_taken", gpus=len(gpus), instead=instead)
            return instead
        self._last = self._lock.name
        device = gpus[self._last].device
        _log.info("gpu_taken", device=device, uuid=self._last)
        return device

    def _without_answer(self) -> str | None:
        """Wait for an answer, and then for the next; work on the CPU meanwhile if there is none."""
        self._retry_at = time.monotonic() + self._retry_seconds
        self._unanswered += 1
        instead = CPU if self._setting == AUTO and self._unanswered >= ANSWERS_AWAITED else None
        _log.warning("gpus_unknown", instead=instead)
        return instead

    def _drop_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
