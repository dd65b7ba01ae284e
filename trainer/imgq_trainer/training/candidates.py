"""The models that a training may end with: a probe, a network trained on from it, a new one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.values import Dataset, Example, Split
from imgq_trainer.evaluating.significance import at_least
from imgq_trainer.training.config import Config
from imgq_trainer.training.courses import Sample, macro_f1
from imgq_trainer.training.events import Stage
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.pictures import Pictures
from imgq_trainer.training.probing import Logits, Truth
from imgq_trainer.training.starting import Start
from imgq_trainer.training.weighing import Balance, decide_balance

#: how likely it may be that a model seems better by luck
SURE = 0.05
#: a loss that is no lower than so much of the first epoch's has hardly fallen
FALLEN = 0.99
#: so many pictures of other classes are not missed by bad luck
LEAST_MISSED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A trained model. state: of the whole network. val_logits: (N, K), by pictures that it was
    not trained on."""

    name: str
    stage: Stage
    start: Start
    how: Preprocessing
    state: Mapping[str, torch.Tensor]
    val_logits: Logits
    #: after how many epochs, and how many the schedule was for; 0 for a probe
    best_epoch: int
    epochs: int
    history: tuple[dict[str, Any], ...]
    seed: int
    #: whether time was over before its course was
    cut_off: bool = False


@dataclass(frozen=True, eq=False)
class Pool:
    """The pictures that may be learned from, with what is known of them."""

    dataset: Dataset

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        return tuple(e for e in self.dataset.examples if e.split is not Split.TEST)

    @cached_property
    def truth(self) -> Truth:
        return np.array([example.label for example in self.examples], np.int64)

    def rows(self, *splits: Split) -> Truth:
        """Return the places of the splits' examples in `examples`."""
        places = [place for place, e in enumerate(self.examples) if e.split in splits]
        return np.array(places, np.int64)

    def counts(self, *splits: Split) -> list[int]:
        """Return how many pictures of each class there are."""
        sizes = np.bincount(self.truth[self.rows(*splits)], minlength=len(self.dataset.labels))
        return [int(size) for size in sizes]


@dataclass(frozen=True, slots=True, eq=False)
class Workshop:
    """What it takes to make candidates. folder: for features that are computed once."""

    pool: Pool
    config: Config
    loop: Loop
    crew: Crew
    folder: Path
    seed: int

    @property
    def classes(self) -> int:
        return len(self.pool.dataset.labels)

    def balance(self, *splits: Split) -> Balance:
        truth = self.pool.truth[self.pool.rows(*splits)]
        asked, strength = self.config.imbalance, self.config.logit_adjustment
        return decide_balance(asked, self.pool.counts(*splits), truth, strength)

    def sample(self, pictures: Pictures, *splits: Split) -> Sample:
        rows = self.pool.rows(*splits)
        return Sample(pictures, rows, self.pool.truth[rows])


def choose(candidates: Sequence[Candidate], truth: Truth) -> Candidate:
    """Return the best one on validation, (N,); but a simpler one, named earlier, needs less.

    A later one of another kind wins if its macro-F1 is higher, and it is right about more pictures
    by the exact one-sided McNemar test. With few pictures in validation the highest figure is
    mostly luck: a network that was right about 1 of 40 more was right about 9 of 100 fewer later.
    """
    best = candidates[0]
    for challenger in candidates[1:]:
        if macro_f1(challenger.val_logits, truth) <= macro_f1(best.val_logits, truth):
            continue
        ours, theirs = (c.val_logits.argmax(1) == truth for c in (best, challenger))
        gained, lost = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
        same_kind = challenger.stage == best.stage
        if same_kind or at_least(gained, gained + lost) <= SURE:
            best = challenger
    return best


def learned_nothing(candidate: Candidate, truth: Truth) -> bool:
    """Tell whether a network is no better than one that always names one class."""
    if not len(truth):
        return False
    if names_one_class(candidate, truth):
        return True
    losses = [row["train_loss"] for row in candidate.history]
    fell = bool(losses) and min(losses) < FALLEN * losses[0]
    eye = np.eye(candidate.val_logits.shape[1], dtype=np.float32)
    constant = max(macro_f1(eye[[c] * len(truth)], truth) for c in np.unique(truth).tolist())
    return macro_f1(candidate.val_logits, truth) <= constant and not fell


def names_one_class(candidate: Candidate, truth: Truth) -> bool:
    """Tell whether every picture was given one label, and so several were given a wrong one."""
    said = candidate.val_logits.argmax(1)
    return len(set(said.tolist())) == 1 and int((said != truth).sum()) >= LEAST_MISSED
