"""The training loop: epochs, steps, validation; the same seed gives the same weights."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from imgq_trainer.errors import Stopped
from imgq_trainer.memory import is_out_of_memory
from imgq_trainer.training.augmenting import View
from imgq_trainer.training.checkpoints import Keeper, Memory
from imgq_trainer.training.config import CheckpointKnobs
from imgq_trainer.training.courses import Course, Sample, Trained
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
from imgq_trainer.training.probing import Logits
from imgq_trainer.training.teams import ALONE, Team
from imgq_trainer.training.underway import Underway

#: pictures of validation that are computed at once
VALIDATION_BATCH = 64
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
        trained = Trained(state, logits, best_epoch, course.epochs, tuple(run.history))
        facts = {"best_epoch": best_epoch, "epochs": course.epochs, "history": run.history}
        tensors = {f"state/{name}": value for name, value in state.items()}
        memory = Memory(facts, {**tensors, "val_logits": torch.from_numpy(logits)})
        self.keeper.finish(course.name, memory, stage=course.stage, run=course.run, epoch=run.epoch)
        return trained

    def _train(self, course: Course, run: Underway) -> None:
        self.team.begin(self._work(course, run))
        while run.epoch < course.stop_after and not run.patience_is_over():
            over = self._epoch(course, run)
            if over:
                self.events.log(
                    f"The time is over after {run.epoch} of {course.epochs} epochs of"
                    f" {course.stage}; the best weights so far count.",
                    "warning",
                )
                return
            if self.keeper.age_seconds() >= self.checkpoints.epoch_seconds:
                self._keep(course, run)
            self.between_epochs()

    def _epoch(self, course: Course, run: Underway) -> bool:
        """Train for one epoch, or the rest of one, and validate. Return whether time is over."""
        over, begun, seen = False, time.monotonic(), 0
        batches = _batches(course, run.epoch)
        unfreeze(run.network, course.knobs, run.epoch, course.epochs)
        rate = 0.0
        behind = sum(map(len, batches[: run.step]))
        while run.step < len(batches) and not over:
            self._check(course, run)
            progress = (run.epoch + run.step / len(batches)) / course.epochs
            rate = rate_at(course.knobs, progress) * run.rate_factor
            set_rate(run.optimiser, rate)
            rows = batches[run.step]
            run.add_loss(self._step(course, run, rows), len(rows))
            run.average_weights()
            run.step += 1
            seen += len(rows)
            behind += len(rows)
            self.events.progress(behind, len(course.train))
            over = self.machine.time_is_over()
        seconds = max(time.monotonic() - begun, 1e-9)
        logits = self.predict(course.val, run, course) if course.val is not None else None
        if logits is not None and not np.isfinite(logits).all():
            raise _Diverged
        row = run.end_epoch(logits, rate)
        left = (course.stop_after - run.epoch) * len(course.train) / max(seen, 1) * seconds
        self.events.epoch(
            Epoch(
                **row,
                runs=course.runs,
                epochs=course.stop_after,
                images_per_second=round(seen / seconds, 1),
                eta_seconds=round(left, 1),
            )
        )
        return over

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
        self.events.log(
            f"There is too little memory for {pictures} pictures at once: they are computed in"
            f" {run.parts * self.team.count} parts, which changes nothing but the speed.",
            "warning",
        )

    def _clip(self, course: Course, run: Underway) -> bool:
        """Shorten long gradients; return whether they are numbers."""
        most = course.knobs.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), most)
        return bool(torch.isfinite(norm))

    def predict(self, sample: Sample, run: Underway, course: Course) -> Logits:
        """Return what the weights, or their averages, say of pictures as they are: (N, K).

        Raises OutOfMemory.
        """
        run.network.eval()
        parts: list[Logits] = []
        done, at_once = 0, VALIDATION_BATCH
        while done < len(sample):
            rows = sample.rows[done : done + at_once].tolist()
            logits = self._scores(sample, run, course, rows)
            if logits is None:
                at_once = self._halved(course, len(rows))
                continue
            parts.append(logits)
            done += len(rows)
            self.events.progress(done, len(sample))
        return np.concatenate(parts) if parts else np.empty((0, course.classes), np.float32)

    def _scores(
        self, sample: Sample, run: Underway, course: Course, rows: list[int]
    ) -> Logits | None:
        """Return some pictures' logits; None if there is too little memory for so many."""
        view = View(sample.pictures.how, sample.pictures.how.crop, self.machine.device)
        try:
            with torch.inference_mode():
                values = view.plain(sample.pictures.take(rows))
                with self.machine.autocast(course.knobs.bf16):
                    logits: Logits = run.scores(values).float().cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        return logits

    def _halved(self, course: Course, pictures: int) -> int:
        self.machine.free_memory()
        if pictures == 1:
            raise OutOfMemory(course.stage)
        self.events.log(
            f"There is too little memory for {pictures} pictures of validation at once: they are"
            f" computed {pictures // 2} at a time.",
            "warning",
        )
        return pictures // 2


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
    history = tuple(memory.facts["history"])
    facts = memory.facts
    return Trained(state, logits, facts["best_epoch"], facts["epochs"], history)
