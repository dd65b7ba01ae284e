"""What travels between processes, without any: two networks here stand for those of two."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from imgq_trainer.training.courses import Course
from imgq_trainer.training.gradients import Gradients, Order
from imgq_trainer.training.machine import Machine
from imgq_trainer.training.optimising import begin_training, norms_of
from imgq_trainer.training.teams import Alone
from imgq_trainer.training.travelling import Luggage

ROWS = np.arange(8)


@pytest.fixture
def make(course_of: Callable[[], Course]) -> Callable[[], Gradients]:
    """Return the work of one more process on the same course."""
    course = course_of()
    machine = Machine(torch.device("cpu"), 1, lambda: False)

    def work() -> Gradients:
        torch.manual_seed(3)
        network = course.begin()
        begin_training(network, course.knobs)
        return Gradients(course, network, course.balance, machine)

    return work


def seen(network: nn.Module) -> dict[str, torch.Tensor]:
    names = ("running_mean", "running_var", "num_batches_tracked")
    return {n: v.clone() for n, v in network.state_dict().items() if n.endswith(names)}


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys() and one
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-5)


def test_what_two_processes_add_up_is_what_one_computes_in_two_parts(
    make: Callable[[], Gradients],
) -> None:
    alone, leader, hand = make(), make(), make()
    Alone().compute(alone, Order(0, 0, ROWS, 2))
    order = Order(0, 0, ROWS, 1)
    bags = Luggage(leader.network), Luggage(hand.network)
    flats = [bags[0].pack()]
    flats.append(flats[0].clone())
    bags[1].unpack(flats[1])
    for rank, work in enumerate((leader, hand)):
        work.add(order, order.shares(2)[rank])
        bags[rank].put_changes(flats[rank], rank, [1, 1])
    bags[0].take_sum(flats[0] + flats[1], [1, 1])

    assert_close(seen(leader.network), seen(alone.network))
    gradients = [
        {
            name: value.grad
            for name, value in work.network.named_parameters()
            if value.grad is not None
        }
        for work in (leader, alone)
    ]
    assert_close(*gradients)


def test_nothing_travels_but_trained_weights_and_what_norms_have_seen(
    make: Callable[[], Gradients],
) -> None:
    network = make().network
    network.register_buffer("mask", torch.full((7,), -np.inf))
    first = next(network.parameters()).requires_grad_(False)

    weights = sum(value.numel() for value in network.parameters()) - first.numel()
    statistics = sum(2 * norm.num_features for norm in norms_of(network))
    assert Luggage(network).size == weights + statistics


def test_what_norms_saw_of_a_step_that_memory_was_too_small_for_is_forgotten(
    make: Callable[[], Gradients], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = make()
    before, parts = seen(work.network), iter([True, False])

    def run_short(*_: object) -> None:
        if not next(parts):
            raise torch.OutOfMemoryError("out of memory")

    work.network.register_forward_hook(run_short)
    assert Alone().compute(work, Order(0, 0, ROWS, 2)) is None
    assert_close(seen(work.network), before)
    assert next(parts, None) is None
