"""The last fit, on validation's pictures too, and whether it can be trusted.

Nothing is left to judge it by, so it is taken only if it came to its end, and is not surely worse
on validation's pictures, which it has learned from, than the model before, to which they were new.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from imgq_trainer.datasets.values import Split
from imgq_trainer.evaluating.significance import at_least
from imgq_trainer.training.augmenting import View
from imgq_trainer.training.budgets import Budget, promised_pace
from imgq_trainer.training.candidates import SURE, Candidate, Workshop
from imgq_trainer.training.courses import Course
from imgq_trainer.training.errors import OutOfMemory, TrainingDiverged
from imgq_trainer.training.network_trainers import NetworkTrainer
from imgq_trainer.training.probing import Logits, Truth

ALONE = "The model was trained on the training split alone"
#: pictures that are computed at once
BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Refitter:
    """pace: seconds that an epoch of the network took, nan if nobody knows."""

    shop: Workshop
    trainer: NetworkTrainer
    budget: Budget
    pace: float

    def refit(self, best: Candidate, course: Course) -> tuple[Candidate, str]:
        """Return the model to keep, and what was done."""
        loop = self.shop.loop
        if not self._affordable(course):
            return best, f"{ALONE}: there was no time to train it on validation's pictures too."
        try:
            again = self.trainer.refit(best, course, loop)
        except (TrainingDiverged, OutOfMemory) as error:
            return best, f"{ALONE}. Trained again, on validation's pictures too, it failed: {error}"
        if len(again.history) - len(best.history) < best.best_epoch:
            return best, f"{ALONE}: there was no time to train it on validation's pictures too."
        rows = self.shop.pool.rows(Split.VAL)
        logits = self._scores(again, rows)
        if reason := distrust(best.val_logits, logits, self.shop.pool.truth[rows]):
            return best, reason
        return again, (
            "The model was trained again on the training and validation splits together, for"
            f" {best.best_epoch} epochs, the number that validation had found best; its"
            " temperature is that of the training before."
        )

    def _affordable(self, course: Course) -> bool:
        if not self.budget.limited or course.name in self.shop.loop.keeper.finished:
            return True
        pace = self.pace
        if math.isnan(pace):
            pace = promised_pace(course, self.shop.loop)
        else:
            pace *= len(course.train) / len(self.shop.pool.rows(Split.TRAIN))
        return self.budget.seconds_left() >= pace * course.stop_after

    def _scores(self, candidate: Candidate, rows: Truth) -> Logits:
        """Return what a network says of pictures as they are: (N, K)."""
        machine, pictures = self.shop.loop.machine, self.trainer.pictures
        network = candidate.start.build(self.shop.classes)
        network.load_state_dict(dict(candidate.state))
        network.to(machine.device).eval()
        view = View(pictures.how, pictures.how.crop, machine.device)
        parts: list[Logits] = []
        with machine.repeatable(), torch.inference_mode():
            for at in range(0, len(rows), BATCH):
                values = view.plain(pictures.take(rows[at : at + BATCH].tolist()))
                parts.append(network(values).float().cpu().numpy())
                self.shop.loop.events.progress(min(at + BATCH, len(rows)), len(rows))
        return np.concatenate(parts)


def distrust(before: Logits, again: Logits, truth: Truth) -> str | None:
    """Return why a model that was fitted again is not taken, None if it is.

    before, again: (N, K), of validation's pictures.
    """
    if not np.isfinite(again).all():
        return f"{ALONE}. Fitted again, on validation's pictures too, it gave no numbers."
    was, now = (logits.argmax(1) == truth for logits in (before, again))
    lost, gained = int((was & ~now).sum()), int((now & ~was).sum())
    if at_least(lost, lost + gained) > SURE:
        return None
    return (
        f"{ALONE}. Fitted again, on validation's pictures too, it was right about {int(now.sum())}"
        f" of these {len(truth)}, and before, when they were new to it, about {int(was.sum())}:"
        " that fit is not to be trusted."
    )
