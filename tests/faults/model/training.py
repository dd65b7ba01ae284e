"""What must be true of trainings, in plain Python: one supervisor, no SQL and no tokens."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from imgq_db.training.leases import TrainingLease

from .classifying import TERMINAL

LEASE_SECONDS: Final = 120.0
#: So many attempts in a row without a checkpoint end a job.
IDLE_ATTEMPTS: Final = 3

Epoch = tuple[str, int]


@dataclass(eq=False, slots=True)
class Attempt:
    """What a supervisor believes that it holds. at: the last epoch of its trainer; None: not begun.

    computing: nothing has told it otherwise yet.
    """

    lease: TrainingLease
    job: "TrainJob"
    until: datetime
    at: int | None = None
    computing: bool = True


@dataclass(eq=False, slots=True)
class TrainJob:
    """epochs, checkpoints: the numbers of those that are stored. model: what it registered."""

    id: int
    uid: UUID
    name: str
    state: str = "queued"
    training: str = "pending"
    holder: Attempt | None = None
    cancelled_under: Attempt | None = None
    attempts: int = 0
    idle_attempts: int = 0
    epochs: set[int] = field(default_factory=set)
    checkpoints: set[int] = field(default_factory=set)
    model: str | None = None
    error: str | None = None
    deleted: bool = False

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    def waits(self) -> bool:
        return self.state in ("queued", "running") and self.training == "pending"

    def claim(self, attempt: Attempt) -> None:
        self.state, self.training, self.holder = "running", "leased", attempt
        self.attempts += 1

    def resume(self, attempt: Attempt, checkpoint: int) -> None:
        """Forget what comes after a checkpoint, 0 for the beginning: it happens again."""
        attempt.at = checkpoint
        self.epochs = {epoch for epoch in self.epochs if epoch <= checkpoint}
        self.checkpoints = {each for each in self.checkpoints if each <= checkpoint}

    def release(self) -> None:
        self.training, self.holder = "pending", None

    def crash(self, error: str) -> bool:
        """Go on with another attempt, or fail; return whether it goes on."""
        if self.idle_attempts + 1 >= IDLE_ATTEMPTS:
            self.fail(error)
            return False
        self.idle_attempts += 1
        self.release()
        return True

    def fail(self, error: str) -> None:
        self.state, self.training, self.holder, self.error = "failed", "done", None, error

    def finish(self, model: str) -> None:
        self.state, self.training, self.holder, self.model = "succeeded", "done", None, model

    def cancel(self, now: datetime) -> None:
        if not self.ended and self.state != "cancelling":
            self.state, self.training = "cancelling", "cancelled"
            self.cancelled_under, self.holder = self.holder, None
            self.close(now)

    def close(self, now: datetime) -> bool:
        """End a job that was cancelled, unless somebody may still compute for it."""
        under = self.cancelled_under
        if self.state != "cancelling" or (under and under.until >= now):
            return False
        self.state = "cancelled"
        return True
