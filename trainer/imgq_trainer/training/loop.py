"""The training loop: epochs, steps, validation; the same seed gives the same weights."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from imgq_trainer.errors import Stopped
from imgq_trainer.training.checkpoints import Keeper, Memory
from imgq_trainer.training.config import CheckpointKnobs
from imgq_trainer.training.courses import Course, Trained
from imgq_trainer.training.errors import OutOfMemory, TrainingDiverged
from imgq_trainer.training.events import Epoch, Events
from imgq_trainer.training.gradients import Gradients, Order, Rows
from imgq_trainer.training.machine import Machine
from imgq_trainer.training.optimising import (
    begin_training,
    rate_at,
    set_rate,
    unfreeze,
)
from imgq_trainer.training.predicting import predict
from imgq_trainer.training.probing import Logits
from imgq_trainer.training.seen import Seen
from imgq_trainer.training.teams import ALONE, Team
from imgq_trainer.training.underway import Underway

#: of the learning rate, after a loss that was no number
LOWER_RATE = 0.3


class _Diverged(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Loop:
    """What every course of a training shares."""

    machine: Machine
    keeper: Keeper
    events: Events
    checkpoints: CheckpointKnobs
    #: called when an epoch is over; what it raises ends the training
    between_epochs: Callable[[], None] = lambda: None
    team: Team = ALONE

    def train(self, course: Course) -> Trained:
        """Train to the course's end, from where it was cut off if it was.

        Raises Stopped after a last checkpoint, TrainingDiverged, OutOfMemory.
        """
        done = self.keeper.finished.get(course.name)
        if done is not None:
            return _recall(done)
        with self.machine.repeatable():
            memory = self.keeper.underway(course.name)
            if memory is not None:
                course = _as_begun(course, memory)
            run = Underway(course, self.machine.device)
            if memory is not None:
                run.restore(memory)
            return self._finish(course, self._train_or_retry(course, run))

    def _train_or_retry(self, course: Course, run: Underway) -> Underway:
        try:
            self._train(course, run)
        except _Diverged:
            if run.rate_factor < 1:
                raise TrainingDiverged(course.stage, run.epoch + 1) from None
            self.events.log(
                f"The loss is no number in epoch {run.epoch + 1} of {course.stage}: once more from"
                f" its start, at {LOWER_RATE} of the learning rate.",
                "warning",
            )
            run = Underway(course, self.machine.device)
            run.rate_factor = LOWER_RATE
            return self._train_or_retry(course, run)
        return run

    def _finish(self, course: Course, run: Underway) -> Trained:
        state, logits, best_epoch = run.result()
        history, cut_off = tuple(run.history), run.cut_off
        trained = Trained(state, logits, best_epoch, course.epochs, history, cut_off)
        facts = {
            "best_epoch": best_epoch,
            "epochs": course.epochs,
            "history": run.history,
            "cut_off": cut_off,
        }
        tensors = {f"state/{name}": value for name, value in state.items()}
        memory = Memory(facts, {**tensors, "val_logits": torch.from_numpy(logits)})
        self.keeper.finish(course.name, memory, stage=course.stage, run=course.run, epoch=run.epoch)
        return trained

    def _train(self, course: Course, run: Underway) -> None:
        self.team.begin(self._work(course, run))
        while run.epoch < course.stop_after and not run.patience_is_over():
            if self._epoch(course, run):
                run.cut_off = True
                self.events.log(
                    f"The time is over in epoch {run.epoch} of {course.epochs} of {course.stage};"
                    " the best weights so far count.",
                    "warning",
                )
                return
            if self.keeper.age_seconds() >= self.checkpoints.epoch_seconds:
                self._keep(course, run)
            self.between_epochs()

    def _epoch(self, course: Course, run: Underway) -> bool:
        """Train for one epoch, or the rest of one, and validate.

        Return whether time was over before the course was.
        """
        batches, begun = _batches(course, run.epoch), time.monotonic()
        unfreeze(run.network, course.knobs, run.epoch, course.epochs)
        seen, over = self._steps(course, run, batches)
        seconds = max(time.monotonic() - begun, 1e-9)
        cut, rate = run.step < len(batches), _rate(course, run, run.step - 1, len(batches))
        row = run.end_epoch(self._validate(course, run), rate)
        epochs_left = course.stop_after - run.epoch + course.later_epochs
        left = epochs_left * len(course.train) / max(seen, 1) * seconds
        self.events.epoch(
            Epoch(
                **row,
                runs=course.runs,
                epochs=course.stop_after,
                images_per_second=round(seen / seconds, 1),
                eta_seconds=round(max(min(left, self.machine.seconds_left()), 0.0), 1),
            )
        )
        goes_on = run.epoch < course.stop_after and not run.patience_is_over()
        return over and (cut or goes_on)

    def _steps(self, course: Course, run: Underway, batches: list[Rows]) -> tuple[int, bool]:
        """Train on an epoch's batches; return on how many pictures, and whether time is over."""
        seen, over = 0, False
        behind = sum(map(len, batches[: run.step]))
        while run.step < len(batches) and not over:
            self._check(course, run)
            set_rate(run.optimiser, _rate(course, run, run.step, len(batches)))
            rows = batches[run.step]
            run.add_loss(self._step(course, run, rows), len(rows))
            run.average_weights()
            run.step += 1
            seen += len(rows)
            self.events.progress(behind + seen, len(course.train))
            over = self.machine.time_is_over()
        return seen, over

    def _validate(self, course: Course, run: Underway) -> Logits | None:
        """Return what is said of validation's pictures, if there are any."""
        if course.val is None:
            return None
        run.network.eval()
        try:
            logits = predict(run.scores, course.val, course, self.machine, self.events)
        except Stopped:
            self._keep(course, run)
            raise
        if not np.isfinite(logits).all():
            raise _Diverged
        return logits

    def _check(self, course: Course, run: Underway) -> None:
        if self.machine.stop():
            self._keep(course, run)
            raise Stopped
        if self.keeper.age_seconds() >= self.checkpoints.step_seconds:
            self._keep(course, run)

    def _keep(self, course: Course, run: Underway) -> None:
        self.keeper.keep(
            course.name, run.memory(), stage=course.stage, run=course.run, epoch=run.epoch
        )

    def _step(self, course: Course, run: Underway, rows: Rows) -> float:
        """Change the weights once; return the mean loss. rows: places in the course's sample."""
        begin_training(run.network, course.knobs)
        work = self._work(course, run)
        while True:
            order = Order(run.epoch, run.step, rows, run.parts)
            loss = self.team.compute(work, order)
            if loss is not None:
                break
            run.optimiser.zero_grad(set_to_none=True)
            self._halve(course, run, len(rows))
        if not math.isfinite(loss) or not self._clip(course, run):
            raise _Diverged
        run.optimiser.step()
        run.optimiser.zero_grad(set_to_none=True)
        return loss

    def _work(self, course: Course, run: Underway) -> Gradients:
        return Gradients(course, run.network, run.balance, self.machine)

    def _halve(self, course: Course, run: Underway, pictures: int) -> None:
        self.machine.free_memory()
        if run.parts * self.team.count >= pictures:
            raise OutOfMemory(course.stage)
        run.parts *= 2
        changed = "batch normalisation sees one part at a time"
        if not Seen(run.network).values:
            changed = "this changes nothing but the speed"
        self.events.log(
            f"There is too little memory for {pictures} pictures at once: they are computed in"
            f" {run.parts * self.team.count} parts; {changed}.",
            "warning",
        )

    def _clip(self, course: Course, run: Underway) -> bool:
        """Shorten long gradients; return whether they are numbers."""
        most = course.knobs.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), most)
        return bool(torch.isfinite(norm))


def _batches(course: Course, epoch: int) -> list[Rows]:
    """Return the places of an epoch's pictures, in batches of about the same size."""
    draw = np.random.default_rng((course.seed, epoch))
    count = len(course.train)
    if course.balance.shares is not None:
        order = draw.choice(count, count, p=course.balance.shares)
    else:
        order = draw.permutation(count)
    steps = max(-(-count // course.knobs.batch_size), 1)
    return [part.astype(np.int64) for part in np.array_split(order, steps)]


def _rate(course: Course, run: Underway, step: int, steps: int) -> float:
    """Return the learning rate of a step of an epoch that has so many."""
    progress = (run.epoch + step / steps) / course.epochs
    return rate_at(course.knobs, progress) * run.rate_factor


def _as_begun(course: Course, memory: Memory) -> Course:
    """Return the course with the epochs it began with: another device may afford other ones."""
    facts = memory.facts
    return replace(course, epochs=facts["epochs"], stop_after=facts["stop_after"])


def _recall(memory: Memory) -> Trained:
    state = {
        name.removeprefix("state/"): value
        for name, value in memory.tensors.items()
        if name.startswith("state/")
    }
    logits: Logits = memory.tensors["val_logits"].numpy()
    facts = memory.facts
    history, cut_off = tuple(facts["history"]), facts.get("cut_off", False)
    return Trained(state, logits, facts["best_epoch"], facts["epochs"], history, cut_off)
