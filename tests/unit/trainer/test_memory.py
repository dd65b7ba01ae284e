import threading

from imgq_trainer.memory import MemoryBudget


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
