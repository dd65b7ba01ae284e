"""Leases on GPUs, by a real Postgres: the GPUs themselves are made up."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from imgq_db.engine import make_engine
from imgq_db.settings import Settings
from imgq_workers import devices as devices_module
from imgq_workers.devices import Devices, Gpu, GpuLost, GpusTaken, list_gpus
from imgq_workers.models import LoadedModels

TWO = (Gpu("cuda:0", "uuid-a"), Gpu("cuda:1", "uuid-b"))
Make = Callable[..., Devices]


class Worker:
    """One process's connections and device."""

    def __init__(self, settings: Settings, gpus: Sequence[Gpu], retry_seconds: float) -> None:
        self.engine = make_engine(settings, role="worker")
        self.devices = Devices(
            self.engine, settings, gpus=lambda: gpus, retry_seconds=retry_seconds
        )

    def end(self) -> None:
        self.devices.give_back()
        self.engine.dispose()


@pytest.fixture
def make(settings: Settings, engine: Engine) -> Iterator[Make]:
    """Another process with two GPUs."""
    made: list[Worker] = []

    def make(
        device: str = "auto",
        gpus: Sequence[Gpu] = TWO,
        retry_seconds: float = 0,
        engine: str = "auto",
    ) -> Devices:
        changed = settings.model_copy(update={"device": device, "engine": engine})
        made.append(Worker(changed, gpus, retry_seconds))
        return made[-1].devices

    yield make
    for worker in made:
        worker.end()


@pytest.fixture
def lose_connections(engine: Engine) -> Callable[[], None]:
    """End every connection that holds a lock, as a crash of its process would."""
    ended = text(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND datname = current_database()"
    )

    def end() -> None:
        with engine.begin() as connection:
            assert all(row[0] for row in connection.execute(ended))

    return end


def test_workers_share_out_the_gpus_and_the_rest_compute_on_the_cpu(make: Make) -> None:
    workers = [make(), make(), make()]
    with structlog.testing.capture_logs() as logs:
        taken = [worker.take() for worker in workers]

    assert taken == ["cuda:0", "cuda:1", "cpu"]
    assert [worker.take() for worker in workers] == taken
    assert [(log["event"], log.get("instead")) for log in logs] == [
        ("gpu_taken", None),
        ("gpu_taken", None),
        ("gpus_all_taken", "cpu"),
    ]


def test_containers_that_count_the_same_gpus_differently_never_share_one(make: Make) -> None:
    turned = (Gpu("cuda:0", "uuid-b"), Gpu("cuda:1", "uuid-a"))
    first, second = make(), make(gpus=turned)

    assert (first.take(), second.take()) == ("cuda:0", "cuda:0")


def test_the_gpu_of_a_worker_that_died_is_taken_by_the_one_that_waits(
    make: Make, lose_connections: Callable[[], None]
) -> None:
    died, waits = make(gpus=TWO[:1]), make(gpus=TWO[:1])
    assert (died.take(), waits.take()) == ("cuda:0", "cpu")
    lose_connections()

    assert waits.take() == "cuda:0"
    assert died.take() == "cpu"


def test_a_worker_whose_connection_broke_takes_its_own_gpu_again(
    make: Make, lose_connections: Callable[[], None]
) -> None:
    other, worker = make(), make()
    assert (other.take(), worker.take()) == ("cuda:0", "cuda:1")
    lose_connections()

    assert worker.take() == "cuda:1"
    assert worker.current() == "cuda:1"


def test_a_worker_that_must_have_a_gpu_waits_for_one(make: Make) -> None:
    holder, waits = make("cuda", TWO[:1]), make("cuda", TWO[:1])
    assert holder.take() == "cuda:0"
    with pytest.raises(GpusTaken):
        waits.take()
    holder.give_back()

    assert waits.take() == "cuda:0"


def test_a_worker_on_the_cpu_looks_for_a_gpu_now_and_then_only(make: Make) -> None:
    holder, later = make(gpus=TWO[:1]), make(gpus=TWO[:1], retry_seconds=3600)
    assert (holder.take(), later.take()) == ("cuda:0", "cpu")
    holder.give_back()

    assert later.take() == "cpu"


@pytest.mark.parametrize("named", ["cuda:0", "cpu"])
def test_a_device_that_is_named_is_used_whoever_has_it(make: Make, named: str) -> None:
    assert make().take() == "cuda:0"
    assert make(named).take() == named


@pytest.mark.parametrize(("setting", "device"), [("auto", "cpu"), ("cuda", "cuda")])
def test_without_gpus_nothing_is_leased(make: Make, setting: str, device: str) -> None:
    assert make(setting, ()).take() == device


@pytest.mark.parametrize("gpus", [(), TWO[:1]])
def test_who_gave_its_device_back_gets_one_for_the_next_work(
    make: Make, gpus: Sequence[Gpu]
) -> None:
    holder = make()
    assert holder.take() == "cuda:0"
    worker = make(gpus=gpus, retry_seconds=30)
    for _ in range(3):
        assert worker.take() == "cpu"
        worker.give_back()


def test_an_engine_that_knows_no_gpu_takes_none(make: Make) -> None:
    assert make(engine="openvino").take() == "cpu"
    assert make().take() == "cuda:0"


def test_a_worker_that_lost_its_gpu_leaves_work_that_the_cpu_cannot_do(
    make: Make,
    settings: Settings,
    engine: Engine,
    lose_connections: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered: dict[str, tuple[str, ...]] = {"cuda:0": ("bf16", "exact"), "cpu": ("exact",)}
    monkeypatch.setattr("imgq_trainer.engines.precisions", lambda on, *_: offered[on])
    mine, other = make(gpus=TWO[:1]), make(gpus=TWO[:1])
    models = LoadedModels(engine, settings, mine)
    assert models.precisions == offered["cuda:0"]
    lose_connections()
    assert other.take() == "cuda:0"

    assert models.precisions == offered["cpu"]
    with pytest.raises(GpuLost, match="cpu lacks the precision"):
        models.get(1, "bf16")


THREE = (*TWO, Gpu("cuda:2", "uuid-c"))


def test_a_training_takes_the_gpus_that_are_free_and_gives_all_back(make: Make) -> None:
    other, trainer, waits = make(gpus=THREE), make(gpus=THREE), make("cuda", THREE)
    assert (other.take(), trainer.take()) == ("cuda:0", "cuda:1")
    assert trainer.take_more(7) == ("cuda:2",)
    assert trainer.take_more(7) == ()
    with pytest.raises(GpusTaken):
        waits.take()
    trainer.give_back_more()

    assert (waits.take(), trainer.take()) == ("cuda:2", "cuda:1")


def test_gpus_are_looked_for_once_while_a_process_lives(settings: Settings, engine: Engine) -> None:
    asked: list[int] = []

    def probe() -> Sequence[Gpu]:
        asked.append(1)
        return THREE

    trainer = Devices(engine, settings.model_copy(update={"device": "auto"}), gpus=probe)
    for _ in range(2):
        assert (trainer.take(), trainer.take_more(1)) == ("cuda:0", ("cuda:1",))
        trainer.give_back()
    assert asked == [1]


def test_gpus_that_could_not_be_told_are_looked_for_again_after_a_while(
    settings: Settings, engine: Engine
) -> None:
    answers: list[Sequence[Gpu] | GpusTaken] = [GpusTaken(), GpusTaken(), TWO]

    def probe() -> Sequence[Gpu]:
        answer = answers.pop(0)
        if isinstance(answer, GpusTaken):
            raise answer
        return answer

    auto = settings.model_copy(update={"device": "auto"})
    patient = Devices(engine, auto, gpus=probe, retry_seconds=3600)
    hasty = Devices(engine, auto, gpus=probe, retry_seconds=0)
    for devices in (patient, patient, hasty):
        with pytest.raises(GpusTaken):
            devices.take()
    assert hasty.take() == "cuda:0"
    hasty.give_back()


@pytest.mark.parametrize(("device", "instead"), [("auto", "cpu"), ("cuda", "none")])
def test_the_cpu_is_used_meanwhile_if_nobody_tells_the_gpus(
    settings: Settings, engine: Engine, device: str, instead: str
) -> None:
    silent = True

    def probe() -> Sequence[Gpu]:
        if silent:
            raise GpusTaken
        return TWO

    chosen = settings.model_copy(update={"device": device})
    devices = Devices(engine, chosen, gpus=probe, retry_seconds=0)

    def taken() -> str:
        try:
            return devices.take()
        except GpusTaken:
            return "none"

    assert [taken() for _ in range(4)] == ["none", "none", instead, instead]
    silent = False
    assert taken() == "cuda:0"
    devices.give_back()


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_database_that_was_away_costs_no_further_wait_for_a_gpu(
    make: Make,
    lose_connections: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connect", {}, ConnectionError("refused"))

    worker = make(device, retry_seconds=3600)
    assert worker.take() == "cuda:0"
    lose_connections()
    with monkeypatch.context() as outage, pytest.raises(OperationalError):
        outage.setattr(devices_module, "hold_first_free", away)
        worker.take()

    assert worker.take() == "cuda:0"


def test_a_training_takes_no_more_gpus_than_it_may(make: Make) -> None:
    trainer = make(gpus=THREE)
    assert (trainer.take(), trainer.take_more(1)) == ("cuda:0", ("cuda:1",))
    trainer.give_back()

    assert [make(gpus=THREE).take() for _ in range(3)] == ["cuda:0", "cuda:1", "cuda:2"]


@pytest.mark.parametrize(("named", "more"), [("cpu", ("cpu", "cpu")), ("cuda:1", ())])
def test_a_named_gpu_is_the_only_one_and_a_cpu_has_room_for_all(
    make: Make, named: str, more: tuple[str, ...]
) -> None:
    trainer = make(named)
    trainer.take()
    assert trainer.take_more(2) == more


def test_this_machines_gpus_are_listed_with_different_names() -> None:
    found = list_gpus()
    assert len({gpu.uuid for gpu in found}) == len({gpu.device for gpu in found}) == len(found)
