"""How a step is shared out, and what the leader makes of the answers. No process is started."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from imgq_trainer.training import budgets, teams
from imgq_trainer.training.courses import Course
from imgq_trainer.training.errors import HandBroken, PictureUnreadable
from imgq_trainer.training.gradients import Add, Gradients, Order
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.machine import Machine
from imgq_trainer.training.seats import Group, Seat, device_of
from imgq_trainer.training.seen import Seen
from imgq_trainer.training.teams import Alone, Led, Said, State, answer
from imgq_trainer.training.travelling import Luggage

DONE, SHORT, BROKEN = State
Answers = Callable[..., Led]


@pytest.fixture
def work(course_of: Callable[[], Course]) -> Gradients:
    course, cpu = course_of(), torch.device("cpu")
    return Gradients(course, course.begin(), course.balance, Machine(cpu, 1, lambda: False))


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Return a leader of two processes, which hears these answers whatever it says."""

    def make(states: tuple[State, ...], losses: tuple[float, ...]) -> Led:
        monkeypatch.setattr(teams, "say", lambda word: None)
        monkeypatch.setattr("torch.distributed.broadcast", lambda *_, **__: None)
        monkeypatch.setattr(teams, "answer", lambda *_: Said(states, losses))
        cpu = torch.device("cpu")
        return Led(Group(Seat(0, 2, "run"), cpu, None, ()))

    return make


ORDER = Order(0, 0, np.arange(5), 1)


@pytest.mark.parametrize(
    ("rows", "parts", "shares"),
    [
        (5, 1, [[[0, 1, 2]], [[3, 4]]]),
        (5, 2, [[[0, 1], [2]], [[3], [4]]]),
        (3, 2, [[[0], [1]], [[2]]]),
        (1, 1, [[[0]], []]),
    ],
)
def test_each_process_has_its_parts_in_order(rows: int, parts: int, shares: Any) -> None:
    order = Order(0, 0, np.arange(rows), parts)
    found = [[part.tolist() for part in share] for share in order.shares(2)]
    assert found == shares


def test_too_little_memory_in_one_process_is_that_of_all(led: Answers, work: Gradients) -> None:
    assert led((DONE, SHORT), (0.5, 0.0)).compute(work, ORDER) is None


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), nullcontext()),
        (RuntimeError("shapes do not fit"), pytest.raises(RuntimeError, match="do not fit")),
    ],
)
def test_too_little_memory_to_remember_what_norms_have_seen_asks_for_smaller_parts(
    work: Gradients, monkeypatch: pytest.MonkeyPatch, error: Exception, told: Any
) -> None:
    def refuse(self: Seen) -> None:
        raise error

    monkeypatch.setattr(Seen, "remember", refuse)
    with told:
        assert Alone().compute(work, ORDER) is None


def statistics(network: nn.Module) -> dict[str, Any]:
    names = ("running_mean", "running_var", "num_batches_tracked")
    state = network.state_dict()
    return {name: state[name].tolist() for name in state if name.endswith(names)}


def test_a_leader_forgets_what_its_norms_saw_when_a_hand_had_too_little_memory(
    led: Answers, work: Gradients, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, leader = statistics(work.network.train()), led((DONE, SHORT), (0.5, 0.0))

    def compute(group: Group, add: Add, order: Order, parts: Any) -> Said:
        assert add(order, parts) is not None
        assert statistics(work.network) != before
        return Said((DONE, SHORT), (0.5, 0.0))

    monkeypatch.setattr(teams, "answer", compute)
    assert leader.compute(work, ORDER) is None
    assert statistics(work.network) == before


def test_a_leader_without_memory_for_what_travels_says_nothing_and_halves(
    led: Answers, work: Gradients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    leader = led((DONE, DONE), (0.5, 0.5))
    monkeypatch.setattr(Luggage, "pack", refuse)
    monkeypatch.setattr(teams, "say", lambda word: pytest.fail(f"it said {word}"))

    assert leader.compute(work, ORDER) is None


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), SHORT),
        (RuntimeError("CUDA error: out of memory"), SHORT),
        (MemoryError(), SHORT),
        (RuntimeError("shapes do not fit"), BROKEN),
    ],
)
def test_want_of_memory_is_told_as_that_wherever_it_arises(
    monkeypatch: pytest.MonkeyPatch, error: Exception, state: State
) -> None:
    told: list[State] = []

    def hear(group: Group, mine: State, loss: float) -> Said:
        told.append(mine)
        return Said((mine,), (loss,))

    def fail(*_: object) -> float:
        raise error

    monkeypatch.setattr(teams, "exchange", hear)
    group = Group(Seat(1, 2, "run"), torch.device("cpu"), None, ())
    with pytest.raises(RuntimeError) if state is BROKEN else nullcontext():
        answer(group, fail, ORDER, [])
    assert told == [state]


def test_a_loss_that_is_no_number_is_told_without_gradients(led: Answers, work: Gradients) -> None:
    loss = led((DONE, DONE), (0.5, float("nan"))).compute(work, ORDER)
    assert loss is not None and np.isnan(loss)


def test_a_hand_that_failed_is_named(led: Answers, work: Gradients) -> None:
    with pytest.raises(HandBroken, match="Process 2 of 2"):
        led((DONE, BROKEN), (0.5, 0.0)).compute(work, ORDER)


def test_a_picture_that_a_hand_could_not_read_is_told_by_the_leader(
    led: Answers, work: Gradients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, order: Order, parts: Any) -> float:
        assert [part.tolist() for part in parts] == [[3, 4]]
        raise PictureUnreadable(b"a.jpg", "it is cut off")

    monkeypatch.setattr(Gradients, "add", refuse)
    with pytest.raises(PictureUnreadable, match=r"a\.jpg"):
        led((DONE, BROKEN), (0.5, 0.0)).compute(work, ORDER)


def test_a_time_limit_counts_on_all_processes(
    course_of: Callable[[], Course], loop_of: Callable[[], Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "seconds_a_picture", lambda *_: 1.0)
    course, loop = replace(course_of(), val=None), loop_of()
    one, four = (
        budgets.promised_pace(course, replace(loop, team=Alone(count))) for count in (1, 4)
    )
    assert four == one / 4


def test_each_process_has_a_gpu_of_its_own_and_all_share_a_cpu() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda:0")
    seats = [Seat(rank, 2, "run") for rank in (0, 1)]
    assert [device_of(seat, gpu) for seat in seats] == [gpu, torch.device("cuda:1")]
    assert [device_of(seat, cpu) for seat in (None, seats[1])] == [cpu, cpu]
