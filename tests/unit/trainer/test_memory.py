import threading

import pytest
import torch

from imgq_trainer.memory import MemoryBudget, is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_want_of_memory_is_known_by_whatever_words_it_has(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_another_error_is_no_want_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_out_of_memory(ValueError("bad_alloc"))


def holders(budget: MemoryBudget, sizes: list[int]) -> tuple[int, int]:
    """Let one thread per size draw many times; return the most bytes and threads at once."""
    lock, held, most = threading.Lock(), [0, 0], [0, 0]

    def draw(size: int) -> None:
        for _ in range(200):
            with budget.reserve(size):
                with lock:
                    held[0], held[1] = held[0] + size, held[1] + 1
                    most[0], most[1] = max(most[0], held[0]), max(most[1], held[1])
                with lock:
                    held[0], held[1] = held[0] - size, held[1] - 1

    threads = [threading.Thread(target=draw, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most[0], most[1]


def test_no_more_than_the_limit_is_held_at_once() -> None:
    most_bytes, _ = holders(MemoryBudget(10), [3, 4, 5, 6, 10])

    assert most_bytes <= 10


def test_what_is_larger_than_the_limit_goes_alone() -> None:
    assert holders(MemoryBudget(10), [25, 25, 25]) == (25, 1)
