"""The training loop: epochs, steps, validation; the same seed gives the same weights."""

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from imgq_trainer.errors import Stopped
from imgq_trainer.training.augmenting import Policy, View, blend, policy_of
from imgq_trainer.training.checkpoints import Keeper, Memory
from imgq_trainer.training.config import CheckpointKnobs
from imgq_trainer.training.courses import Course, Sample, Trained
from imgq_trainer.training.errors import OutOfMemory, TrainingDiverged
from imgq_trainer.training.events import Epoch, Events
from imgq_trainer.training.machine import Machine, is_out_of_memory
from imgq_trainer.training.optimising import (
    begin_training,
    image_side,
    rate_at,
    set_rate,
    unfreeze,
)
from imgq_trainer.training.probing import Logits
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
        view = self._view(course, run.epoch)
        unfreeze(run.network, course.knobs, run.epoch, course.epochs)
        rate = 0.0
        behind = sum(map(len, batches[: run.step]))
        while run.step < len(batches) and not over:
            self._check(course, run)
            progress = (run.epoch + run.step / len(batches)) / course.epochs
            rate = rate_at(course.knobs, progress) * run.rate_factor
            set_rate(run.optimiser, rate)
            rows = batches[run.step]
            run.add_loss(self._step(course, run, view, rows), len(rows))
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

    def _view(self, course: Course, epoch: int) -> View:
        how = course.train.pictures.how
        side = image_side(course.knobs, how.crop, epoch, course.epochs)
        return View(how, side, self.machine.device)

    def _step(
        self, course: Course, run: Underway, view: View, rows: npt.NDArray[np.int64]
    ) -> float:
        """Change the weights once; return the mean loss. rows: places in the course's sample."""
        begin_training(run.network, course.knobs)
        policy = policy_of(course.knobs, view.how)
        while True:
            parts = np.array_split(rows, min(run.parts, len(rows)))
            try:
                losses = [
                    self._backward(course, run, view, policy, part, len(rows)) for part in parts
                ]
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Out of the handler: the error's traceback would keep the step's memory.
            run.optimiser.zero_grad(set_to_none=True)
            self._halve(course, run, len(rows))
        loss = sum(losses)
        if not math.isfinite(loss) or not self._clip(course, run):
            raise _Diverged
        run.optimiser.step()
        run.optimiser.zero_grad(set_to_none=True)
        return loss

    def _halve(self, course: Course, run: Underway, pictures: int) -> None:
        self._free()
        if run.parts >= pictures:
            raise OutOfMemory(course.stage)
        run.parts *= 2
        self.events.log(
            f"There is too little memory for {pictures} pictures at once: they are computed in"
            f" {run.parts} parts, which changes nothing but the speed.",
            "warning",
        )

    def _backward(
        self,
        course: Course,
        run: Underway,
        view: View,
        policy: Policy | None,
        part: npt.NDArray[np.int64],
        whole: int,
    ) -> float:
        """Add the gradients of a part of a batch; return its share of the loss."""
        key = (course.seed, run.epoch, run.step, int(part[0]))
        draw = np.random.default_rng(key)
        torch.manual_seed(int(draw.integers(1 << 62)))  # for dropout
        pixels = course.train.pictures.take(course.train.rows[part].tolist())
        if policy is None:
            values = view.plain(pixels)
        else:
            keys = [(course.seed, run.epoch, int(row)) for row in part]
            values = view.changed(pixels, policy, keys)
        truth = torch.from_numpy(course.train.truth[part]).to(self.machine.device)
        targets: torch.Tensor = truth
        if course.knobs.mixup or course.knobs.cutmix:
            chosen = torch.nn.functional.one_hot(truth, course.classes).to(torch.float32)
            values, targets = blend(values, chosen, course.knobs, draw)
        with self.machine.autocast(course.knobs.bf16):
            scores = run.network(values)
        loss = run.balance.loss(scores.float(), targets, course.knobs.label_smoothing)
        share = loss * (len(part) / whole)
        share.backward()  # type: ignore[no-untyped-call]
        return float(share.detach())

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
        self._free()
        if pictures == 1:
            raise OutOfMemory(course.stage)
        self.events.log(
            f"There is too little memory for {pictures} pictures of validation at once: they are"
            f" computed {pictures // 2} at a time.",
            "warning",
        )
        return pictures // 2

    def _free(self) -> None:
        gc.collect()
        if self.machine.device.type == "cuda":
            torch.cuda.empty_cache()


def _batches(course: Course, epoch: int) -> list[npt.NDArray[np.int64]]:
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
