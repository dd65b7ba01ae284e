"""Several processes for one training: torch's launcher, which is torchrun's, on this machine.

It is called as torchrun calls it, but for the rendezvous: torchrun's opens two ports on all of the
machine's interfaces, to whoever sends it pickles. Here the launcher needs no other machine, and the
processes find each other by a file.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn
from uuid import uuid4

from torch._C._distributed_c10d import HashStore
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from imgq_trainer.training.endings import LOST, STOPPED
from imgq_trainer.training.seats import (
    INTERFACES,
    LAUNCHER,
    LEADER,
    find_meeting_places,
    loopback,
    meeting_place,
)
from imgq_trainer.training.spec import TrainSpec

#: What is left of a group is killed so long after it was asked to end. The leader writes a
#: checkpoint within it.
END_SECONDS = 30
#: how often the launcher looks whether all of them live
LOOK_SECONDS = 0.1
RENDEZVOUS = "imgq"


def launch(path: Path, spec: TrainSpec, told_to_stop: Callable[[], bool]) -> NoReturn:
    """Run the training in its processes, and end this one as they did, by a signal if one did."""
    status = _run(path, spec, told_to_stop)
    sys.stderr.flush()
    if status < 0:
        _die(-status)
    os._exit(status)  # torch takes a while to be unloaded, and nothing needs it


def _run(path: Path, spec: TrainSpec, told_to_stop: Callable[[], bool]) -> int:
    run = uuid4().hex
    _prepare(spec)
    try:
        signal.signal(signal.SIGTERM, _raise)
        return STOPPED if told_to_stop() else _launch(path, _configuration(spec, run))
    except SignalException:
        return STOPPED
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        meeting_place(spec.work_dir, run).unlink(missing_ok=True)


def _launch(path: Path, configuration: LaunchConfig) -> int:
    """Return how the processes ended. Raises SignalException."""
    command = ("-u", "-m", "imgq_trainer", "train", str(path))
    try:
        elastic_launch(configuration, sys.executable)(*command)
    except ChildFailedError as error:
        return status_of({rank: each.exitcode for rank, each in error.failures.items()})
    return 0


def status_of(codes: Mapping[int, int]) -> int:
    """Return what several processes' exit codes come to, by rank: negative for a signal.

    What ended the first of them counts. The others were then asked to end, or lost the leader.
    """
    if codes.get(LEADER) == 1:  # it has said what failed
        return 1
    killed = [code for code in codes.values() if code < 0 and code != -signal.SIGTERM]
    if killed:
        return killed[0]
    failed = [code for code in codes.values() if code not in (LOST, STOPPED, -signal.SIGTERM)]
    return failed[0] if failed else STOPPED


def _prepare(spec: TrainSpec) -> None:
    spec.work_dir.mkdir(parents=True, exist_ok=True)
    for left in find_meeting_places(spec.work_dir):  # of a launcher that was killed
        left.unlink(missing_ok=True)
    for name in list(logging.root.manager.loggerDict):  # each has a level of its own
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.ERROR)
    os.environ[LAUNCHER] = str(os.getpid())
    # Else the launcher chooses 1. Processes that compute side by side set their share themselves.
    os.environ.setdefault("OMP_NUM_THREADS", str(spec.threads))
    for name in INTERFACES:
        os.environ[name] = loopback()
    rendezvous_handler_registry.register(RENDEZVOUS, _OneMachine)


def _configuration(spec: TrainSpec, run: str) -> LaunchConfig:
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=spec.processes,
        run_id=run,
        rdzv_backend=RENDEZVOUS,
        max_restarts=0,  # whoever started this resumes it
        monitor_interval=LOOK_SECONDS,
        shutdown_timeout=END_SECONDS,
        logs_specs=DefaultLogsSpecs(log_dir=os.devnull),  # all say what they say at once
    )


def _raise(number: int, frame: FrameType | None) -> None:
    raise SignalException("told to stop", signal.Signals(number))


def _die(number: int) -> NoReturn:
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


class _OneMachine(RendezvousHandler):
    """The rendezvous of a launcher that waits for no other one."""

    def __init__(self, parameters: RendezvousParameters) -> None:
        self._run = parameters.run_id
        self._store = HashStore()

    def get_backend(self) -> str:
        return RENDEZVOUS

    def next_rendezvous(self) -> RendezvousInfo:
        nowhere = RendezvousStoreInfo("127.0.0.1", 0)  # nobody listens, and nobody asks
        return RendezvousInfo(self._store, 0, 1, nowhere)

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        return None

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return self._run

    def shutdown(self) -> bool:
        return True
