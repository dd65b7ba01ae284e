"""What a supervisor of trainings works with. Nothing here loads torch."""

import functools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine

from imgq_db.engine import make_engine
from imgq_db.queue import Ring, make_ring
from imgq_db.settings import Settings, load_settings
from imgq_db.sources import readable_roots
from imgq_workers.context import WORKER_UID, new_uid
from imgq_workers.devices import Devices
from imgq_workers.training.gpus import probe_gpus

#: What runs in place of the trainer's module: a file that Python runs. For tests.
TRAINER = "IMGQ_TRAINER_FILE"


@dataclass(frozen=True, slots=True)
class TrainerContext:
    """Composition of one supervisor.

    owner: a fresh UUID. worker_uid: the row that people see. command: the trainer, to which
    `train SPEC.json` or `evaluate SPEC.json` is added.
    """

    settings: Settings
    engine: Engine
    ring: Ring
    devices: Devices
    owner: UUID
    worker_uid: UUID
    command: tuple[str, ...]

    @property
    def roots(self) -> tuple[str, ...]:
        return readable_roots(self.settings)


def make_trainer_context(
    settings: Settings,
    *,
    engine: Engine | None = None,
    ring: Ring | None = None,
    command: Sequence[str] = (),
) -> TrainerContext:
    """Compose a supervisor's parts."""
    engine = engine or make_engine(settings, role="worker")
    return TrainerContext(
        settings=settings,
        engine=engine,
        ring=ring or make_ring(settings),
        devices=Devices(engine, settings, gpus=probe_gpus),
        owner=new_uid(),
        worker_uid=UUID(os.environ[WORKER_UID]) if WORKER_UID in os.environ else new_uid(),
        command=tuple(command) or _trainer_command(),
    )


@functools.cache
def current_trainer_context() -> TrainerContext:
    """Return this process's context, made from its environment at the first call."""
    return make_trainer_context(load_settings())


def _trainer_command() -> tuple[str, ...]:
    if TRAINER in os.environ:
        return (sys.executable, os.environ[TRAINER])
    return (sys.executable, "-m", "imgq_trainer")
