import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier
from imgq_trainer.cuda_stream import CudaStream
from imgq_trainer.engines import Logits, Tile
from imgq_trainer.networks import PixelNetwork, pixel_network
from imgq_trainer.preprocessing import Pixels
from imgq_trainer.slots import PlainStream, Slot, Slots, Stream, sample_tile, spread

TILE = 2
SHAPE = (TILE, 224, 224, 3)


def gpu_stream(*, graphs: bool) -> Stream:
    return CudaStream(torch.device("cuda"), graphs=graphs)


STREAMS: dict[str, Callable[[], Stream]] = {"cpu": PlainStream}
if torch.cuda.is_available():
    STREAMS["graphs"] = lambda: gpu_stream(graphs=True)
    STREAMS["eager"] = lambda: gpu_stream(graphs=False)


class CountingSlot:
    """Tells each picture's first value, and who was there with it."""

    def __init__(self) -> None:
        self.busy = 0
        self.computed = 0

    def compute(self, pictures: Tile) -> Logits:
        self.busy += 1
        assert self.busy == 1, "two tiles in one slot"
        self.computed += 1
        if not pictures.any():
            self.busy -= 1
            raise MemoryError("nothing but zeros")
        threading.Event().wait(0.001)  # lets the other threads in, if nothing keeps them out
        self.busy -= 1
        return pictures[:, 0, 0, :1].astype(np.float32)


@pytest.fixture(scope="module")
def network(lite0: Artifact) -> PixelNetwork:
    network = pixel_network(lite0).to(memory_format=torch.channels_last)
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module", params=STREAMS)
def slots(request: pytest.FixtureRequest, network: PixelNetwork) -> list[Slot]:
    return [Slot(network, SHAPE, STREAMS[request.param]()) for _ in range(2)]


def one_value(value: int) -> Tile:
    return np.full((TILE, 4, 4, 3), value, np.uint8)


def test_a_slot_computes_what_the_plain_engine_does(
    slots: list[Slot], by_torch: Classifier, pictures: Pixels
) -> None:
    for slot in slots:
        found = slot.compute(pictures[:TILE])
        alone = np.concatenate([by_torch.logits(picture[None]) for picture in pictures[:TILE]])
        np.testing.assert_allclose(found, alone, atol=1e-3)


def test_what_a_slot_gave_stays_when_it_computes_again(slots: list[Slot], pictures: Pixels) -> None:
    first = slots[0].compute(pictures[:TILE])
    kept = first.copy()
    slots[0].compute(pictures[TILE : 2 * TILE])

    assert np.array_equal(first, kept)


def test_slots_and_places_in_a_tile_give_the_same_bits(slots: list[Slot]) -> None:
    assert spread(slots) == 0


@pytest.mark.parametrize("shape", [(1, 224, 224, 3), (TILE, 3, 224, 224)])
def test_a_tile_of_another_shape_is_refused(slots: list[Slot], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a tile is"):
        slots[0].compute(np.zeros(shape, np.uint8))


def test_many_threads_each_get_their_own_pictures_logits(
    slots: list[Slot], pictures: Pixels
) -> None:
    tiles = [pictures[[i % 6, (i + 1) % 6]] for i in range(12)]
    expected = [slots[0].compute(tile) for tile in tiles]
    shared = Slots(slots)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(shared.logits, tiles))

    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_no_more_tiles_are_on_their_way_than_there_are_slots() -> None:
    counting = [CountingSlot(), CountingSlot()]
    shared = Slots(counting)
    with ThreadPoolExecutor(16) as pool:
        found = [logits[0, 0] for logits in pool.map(shared.logits, map(one_value, range(1, 200)))]

    assert found == list(range(1, 200))
    assert sum(slot.computed for slot in counting) == 199
    assert all(slot.computed for slot in counting)


def test_a_slot_that_failed_is_used_again() -> None:
    shared = Slots([CountingSlot()])
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(shared.logits, one_value(i % 2)) for i in range(40)]
        errors = [future.exception(timeout=30) for future in futures]

    assert [isinstance(error, MemoryError) for error in errors] == [True, False] * 20


def test_a_network_that_fails_leaves_its_slot_usable(network: PixelNetwork) -> None:
    fails = [False]

    def refuse(*_: object) -> None:
        if fails[0]:
            raise torch.OutOfMemoryError("none left")

    handle = network.register_forward_pre_hook(refuse)
    slot = Slot(network, SHAPE, STREAMS["eager" if "eager" in STREAMS else "cpu"]())
    shared, tile = Slots([slot]), sample_tile(SHAPE)
    before = shared.logits(tile)
    fails[0] = True
    with pytest.raises(torch.OutOfMemoryError):
        shared.logits(tile)
    fails[0] = False

    assert np.array_equal(shared.logits(tile), before)
    handle.remove()
