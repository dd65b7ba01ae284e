"""A CUDA stream whose forward pass is captured once and replayed for every tile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from imgq_trainer.slots import Forward

#: Passes before the capture, in which libraries make their handles and choose their kernels.
WARM_UP_PASSES = 3


class CaptureFailed(Exception):
    """The forward pass cannot be replayed as a graph; it still computes the plain way."""


class CudaStream:
    """One CUDA stream, with pinned memory. graphs: whether to replay instead of running anew.

    Streams share nothing that a pass writes to: each warms up and captures on itself, because
    torch keeps a cuBLAS workspace for each stream, and frees it with the graph that was captured
    there: one live graph to a stream.
    """

    def __init__(self, device: torch.device, *, graphs: bool) -> None:
        self._device = device
        self._graphs = graphs
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # Blocking: a thread that waits leaves its core to one that decodes.
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]

    def host_memory(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        with torch.cuda.device(self._device):
            return torch.zeros(tuple(shape), dtype=dtype, pin_memory=True)

    def device_memory(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        with torch.cuda.stream(self._stream):
            return torch.zeros(tuple(shape), dtype=dtype, device=self._device)

    @contextmanager
    def queued(self) -> Iterator[None]:
        with torch.cuda.stream(self._stream):
            try:
                yield
            finally:
                self._done.record(self._stream)

    def wait(self) -> None:
        self._done.synchronize()

    def prepare(self, forward: Forward) -> Forward:
        """Capture the pass. Raises CaptureFailed, OutOfMemoryError."""
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            for _ in range(WARM_UP_PASSES):
                expected = forward()
            self._stream.synchronize()
            if not self._graphs:
                return forward
            replay, scores = self._capture(forward)
            replay()
            if not torch.equal(scores, expected):
                raise CaptureFailed("the replayed graph gives other scores")
        return replay

    def _capture(self, forward: Forward) -> tuple[Forward, torch.Tensor]:
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: another thread may decode on the device meanwhile, and allocate there.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                scores = forward()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # what cannot be captured has many names
            raise CaptureFailed(str(error).partition("\n")[0]) from error

        def replay() -> torch.Tensor:
            graph.replay()
            return scores

        return replay, scores
