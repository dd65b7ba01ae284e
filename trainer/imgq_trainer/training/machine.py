"""Where a training computes: on which device, with how many threads, and until when."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch

from imgq_trainer.engines import BF16, precisions


@dataclass(frozen=True, slots=True)
class Machine:
    device: torch.device
    threads: int
    #: asked between two steps; True ends the training, as resumably as can be
    stop: Callable[[], bool]
    #: on the clock of time.monotonic; None for no limit
    deadline_seconds: float | None = None

    def time_is_over(self) -> bool:
        return self.seconds_left() < 0

    def seconds_left(self) -> float:
        """Return inf without a limit, and less than 0 when time is over."""
        if self.deadline_seconds is None:
            return math.inf
        return self.deadline_seconds - time.monotonic()

    def autocast(self, wanted: bool) -> AbstractContextManager[object]:
        """Compute in bfloat16 within a block, where that is fast."""
        fast = wanted and BF16 in precisions(str(self.device))
        return torch.autocast(self.device.type, torch.bfloat16, enabled=fast)

    def free_memory(self) -> None:
        """Give back what nobody uses any more."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @contextmanager
    def repeatable(self) -> Iterator[None]:
        """Compute the same bits each time within a block: surely on a CPU, mostly on a GPU."""
        threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        torch.set_num_threads(self.threads)
        torch.use_deterministic_algorithms(True, warn_only=self.device.type != "cpu")
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.set_num_threads(threads)


def share_of(threads: int, processes: int, device: torch.device) -> int:
    """Return a process's share of a CPU's threads; on GPUs threads only decode and start work."""
    return threads if device.type != "cpu" else max(threads // processes, 1)
