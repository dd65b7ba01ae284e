"""Which of a training's processes this one is, as torch's launcher says, and the group of all."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore

from imgq_trainer.training.errors import ProcessLost

#: the first of the processes: it decides everything
LEADER = 0
#: in the environment of every process that the launcher starts: its own number
LAUNCHER = "IMGQ_TRAINING_LAUNCHER"
#: how the file is called by which a group meets, before the group's own name
GROUP = ".group-"
#: The launcher of one machine binds nothing; this is the only interface that gloo and NCCL use.
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
#: A hand waits for the leader's next word as long as that lives: it may scan for hours.
FOREVER = timedelta(days=30)
#: So long the leader waits for the others when they start: on a busy machine libraries take long.
JOIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Seat:
    """rank: from 0, which leads. run: a name that no other group has."""

    rank: int
    count: int
    run: str


def find_seat(environment: Mapping[str, str]) -> Seat | None:
    """Return this process's place among several; None: it is alone, or to launch them."""
    if LAUNCHER not in environment or "RANK" not in environment:
        return None
    rank, count = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    return Seat(rank, count, environment["TORCHELASTIC_RUN_ID"])


def loopback() -> str:
    """Return the name of the interface that nobody but this machine can reach."""
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if name.startswith("lo")), "lo")


def meeting_place(work_dir: Path, run: str) -> Path:
    """Return the file by which the processes of a group find each other."""
    return work_dir / f"{GROUP}{run}"


def find_meeting_places(work_dir: Path) -> list[Path]:
    """Return the files of all groups that there ever were, unless they were removed."""
    return list(work_dir.glob(f"{GROUP}*"))


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The joined processes. tensors: another way for weights and gradients than for words."""

    seat: Seat
    device: torch.device
    tensors: dist.ProcessGroup | None
    #: all processes but this one
    others: tuple[psutil.Process, ...]

    def end_others(self) -> None:
        """Kill the others, also one that is stopped: the launcher would wait for that one."""
        for other in self.others:
            with suppress(psutil.NoSuchProcess):
                other.kill()


@contextmanager
def joined(seat: Seat, work_dir: Path, device: torch.device, seconds: float) -> Iterator[Group]:
    """Join the others for as long as the block runs.

    seconds: so long the leader waits for an answer, once all have joined. A hand waits for the
    leader. Raises ProcessLost.
    """
    limit = timedelta(seconds=seconds)
    on_gpus = device.type == "cuda"
    with answers():
        dist.init_process_group(
            "gloo",
            store=_gather(seat, meeting_place(work_dir, seat.run)),
            rank=seat.rank,
            world_size=seat.count,
            timeout=limit if seat.rank == LEADER else FOREVER,
        )
        if on_gpus:
            torch.cuda.set_device(device)
        tensors = dist.new_group(backend="nccl", timeout=limit) if on_gpus else None
    try:
        yield Group(seat, device, tensors, _others(seat))  # type: ignore[arg-type]  # all are members
    except BaseException:
        if not on_gpus:  # NCCL might wait for the others, and all end now in any case
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


@contextmanager
def answers() -> Iterator[None]:
    """Name the error of a process that is gone, or does not answer. Raises ProcessLost."""
    try:
        yield
    except RuntimeError as error:  # gloo's; NCCL's are of a class derived from it
        raise ProcessLost(error) from error


def _gather(seat: Seat, place: Path) -> FileStore:
    """Wait until all processes are here; return where they tell each other how to be reached."""
    store = FileStore(str(place), seat.count)
    store.set(f"here-{seat.rank}", "yes")
    everyone = [f"here-{rank}" for rank in range(seat.count)]
    store.wait(everyone, JOIN if seat.rank == LEADER else FOREVER)
    return store


def _others(seat: Seat) -> tuple[psutil.Process, ...]:
    numbers: list[int] = [0] * seat.count
    with answers():
        dist.all_gather_object(numbers, os.getpid())
    try:
        return tuple(psutil.Process(each) for each in numbers if each != os.getpid())
    except psutil.NoSuchProcess as error:
        raise ProcessLost(error) from error


def device_of(seat: Seat | None, device: torch.device) -> torch.device:
    """Return the device of a process: the one with its number, if the first one is a GPU."""
    if seat is None or device.type != "cuda":
        return device
    return torch.device("cuda", (device.index or 0) + seat.rank)
