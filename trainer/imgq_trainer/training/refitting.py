"""The last fit, on validation's pictures too, and whether it can be trusted.

Nothing is left to judge it by, so it is taken only if it came to its end, and is not surely worse
on validation's pictures, which it has learned from, than the model before, to which they were new.
"""

import math
from dataclasses import dataclass

import numpy as np

from imgq_trainer.datasets.values import Split
from imgq_trainer.evaluating.significance import at_least
from imgq_trainer.training.budgets import Budget, promised_pace
from imgq_trainer.training.candidates import SURE, Candidate, Workshop
from imgq_trainer.training.courses import Course
from imgq_trainer.training.errors import OutOfMemory, TrainingDiverged
from imgq_trainer.training.network_trainers import NetworkTrainer
from imgq_trainer.training.predicting import predict
from imgq_trainer.training.probing import Logits, Truth

TRAIN_ONLY = "The model was trained on the training split alone"


@dataclass(frozen=True, slots=True, eq=False)
class Refitter:
    """pace: seconds that an epoch of the network took, nan if nobody knows."""

    shop: Workshop
    trainer: NetworkTrainer
    budget: Budget
    pace: float

    def refit(self, best: Candidate, course: Course) -> tuple[Candidate, str]:
        """Return the model to keep, and what was done. Raises Stopped."""
        late = f"{TRAIN_ONLY}: there was no time to train it on validation's pictures too."
        if not self._affordable(course):
            return best, late
        try:
            again = self.trainer.refit(best, course, self.budget.limit(self.shop.loop))
            if again.cut_off:
                return best, late
            logits = self._logits(again, course)
        except (TrainingDiverged, OutOfMemory) as error:
            return (
                best,
                f"{TRAIN_ONLY}. Trained again, on validation's pictures too, it failed: {error}",
            )
        pool = self.shop.pool
        if reason := distrust(best.val_logits, logits, pool.truth[pool.rows(Split.VAL)]):
            return best, reason
        return again, (
            "The model was trained again on the training and validation splits together, for"
            f" {best.best_epoch} epochs, the number that validation had found best; its"
            " temperature is that of the training before."
        )

    def _affordable(self, course: Course) -> bool:
        keeper = self.shop.loop.keeper
        if not self.budget.limited or course.name in keeper.finished:
            return True
        pace = self.pace
        if math.isnan(pace):
            pace = promised_pace(course, self.shop.loop)
        else:
            pace *= len(course.train) / len(self.shop.pool.rows(Split.TRAIN))
        before = keeper.underway(course.name)
        behind = 0 if before is None else before.facts["epoch"]
        return self.budget.seconds_left() >= pace * (course.stop_after - behind)

    def _logits(self, candidate: Candidate, course: Course) -> Logits:
        """Return what a network says of validation's pictures: (N, K)."""
        loop = self.shop.loop
        machine = loop.machine
        machine.free_memory()  # of the training, and of what came before it
        network = candidate.start.build(self.shop.classes)
        network.load_state_dict(dict(candidate.state))
        network.to(machine.device).eval()
        sample = self.shop.sample(self.trainer.pictures, Split.VAL)
        with machine.repeatable():
            return predict(network, sample, course, machine, loop.events)


def distrust(before: Logits, again: Logits, truth: Truth) -> str | None:
    """Return why a model that was fitted again is not taken, None if it is.

    before, again: (N, K), of validation's pictures.
    """
    if not np.isfinite(again).all():
        return f"{TRAIN_ONLY}. Fitted again, on validation's pictures too, it gave no numbers."
    was, now = (logits.argmax(1) == truth for logits in (before, again))
    lost, gained = int((was & ~now).sum()), int((now & ~was).sum())
    if at_least(lost, lost + gained) > SURE:
        return None
    return (
        f"{TRAIN_ONLY}. Fitted again, on validation's pictures too, it was right about"
        f" {int(now.sum())} of these {len(truth)}, and before, when they were new to it, about"
        f" {int(was.sum())}:"
        " that fit is not to be trusted."
    )
