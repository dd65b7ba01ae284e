"""The models that a training may end with: a probe, a network trained on from it, a new one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.values import Dataset, Example, Split
from imgq_trainer.evaluating.significance import at_least
from imgq_trainer.training.checkpoints import Memory
from imgq_trainer.training.config import Config, NetworkKnobs
from imgq_trainer.training.courses import Course, Sample, Trained, affordable_epochs, macro_f1
from imgq_trainer.training.embedding import Features, embed
from imgq_trainer.training.events import Stage
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.pictures import Pictures, identity
from imgq_trainer.training.probing import Logits, Probe, Truth, choose_probe, fit_probe
from imgq_trainer.training.starting import Start, head_of
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


@dataclass(frozen=True, slots=True, eq=False)
class Prober:
    """Makes the probe of one network on one kind of pictures."""

    shop: Workshop
    start: Start
    pictures: Pictures

    def make(self) -> tuple[Candidate, Probe]:
        """Fit on training's pictures; choose by validation's."""
        keeper, name = self.shop.loop.keeper, "probe"
        memory = keeper.finished.get(name)
        if memory is None:
            memory = self._fit()
            keeper.finish(name, memory, stage=Stage.PROBE, run=1, epoch=0)
        probe = Probe(memory.tensors["weight"], memory.tensors["bias"], memory.facts["l2"])
        logits: Logits = memory.tensors["val_logits"].numpy()
        return self._candidate(probe, logits), probe

    def refit(self, probe: Probe, logits: Logits) -> tuple[Candidate, Probe]:
        """Fit once more, as strongly, on training's and validation's pictures."""
        both = (Split.TRAIN, Split.VAL)
        rows = self.shop.pool.rows(*both)
        with self.shop.loop.machine.repeatable():
            (again,) = fit_probe(
                self.features()[rows],
                self.shop.pool.truth[rows],
                self.shop.balance(*both),
                [probe.l2],
                self.shop.config.probe.iterations,
                alive=self._alive,
            )
        return self._candidate(again, logits), again

    def features(self) -> Features:
        """Return every picture's features, (N, D), computed at the first call of all."""
        name = identity(self.shop.pool.examples, self.pictures.how)
        path = self.shop.folder / f"features-{name}-{self.start.architecture.name}.npy"
        if path.exists():
            stored: Features = np.load(path)
            return stored
        machine = self.shop.loop.machine
        network = self.start.build(self.shop.classes)
        features = embed(
            network,
            self.pictures,
            str(machine.device),
            self.shop.crew,
            machine.stop,
            self.shop.loop.events.progress,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new.npy")
        np.save(fresh, features)
        fresh.replace(path)
        return features

    def _fit(self) -> Memory:
        features, pool, knobs = self.features(), self.shop.pool, self.shop.config.probe
        train, val = pool.rows(Split.TRAIN), pool.rows(Split.VAL)
        with self.shop.loop.machine.repeatable():
            probes = fit_probe(
                features[train],
                pool.truth[train],
                self.shop.balance(Split.TRAIN),
                knobs.l2,
                knobs.iterations,
                alive=self._alive,
            )
        best = choose_probe(probes, features[val], pool.truth[val])
        logits = torch.from_numpy(best.logits(features[val]))
        tensors = {"weight": best.weight, "bias": best.bias, "val_logits": logits}
        return Memory({"l2": best.l2}, tensors)

    def _alive(self) -> None:
        count = len(self.pictures)
        self.shop.loop.events.progress(count, count)

    def _candidate(self, probe: Probe, logits: Logits) -> Candidate:
        network = with_probe(self.start.build(self.shop.classes), probe)
        how, seed = self.pictures.how, self.shop.seed
        state = network.state_dict()
        return Candidate("probe", Stage.PROBE, self.start, how, state, logits, 0, 0, (), seed)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkTrainer:
    """Trains one network on one kind of pictures. probe: what its head begins with, if any.

    runs_before, runs: of the stage, before this network's and in all.
    """

    shop: Workshop
    stage: Stage
    start: Start
    pictures: Pictures
    knobs: NetworkKnobs
    runs_before: int
    runs: int

    def make(self, probe: Probe | None) -> list[Candidate]:
        """Return a candidate for each seed, until the time is over."""
        made: list[Candidate] = []
        for number in range(self.knobs.seeds):
            if made and self.shop.loop.machine.time_is_over():
                break
            course = self._course(
                f"{self.stage}-{self.start.architecture.name}-{number}", probe, number
            )
            made.append(self._candidate(course, self.shop.loop.train(course)))
        return made

    def refit(self, candidate: Candidate, probe: Probe | None) -> Candidate:
        """Train as long as the candidate's best epoch took, on validation's pictures too."""
        both = (Split.TRAIN, Split.VAL)
        first = self._course("refit", probe, candidate.seed - self.shop.seed)
        course = replace(
            first,
            stage=Stage.REFIT,
            run=1,
            runs=1,
            train=self.shop.sample(self.pictures, *both),
            val=None,
            balance=self.shop.balance(*both),
            epochs=candidate.epochs,
            stop_after=candidate.best_epoch,
        )
        again = self._candidate(course, self.shop.loop.train(course))
        return replace(
            again,
            stage=candidate.stage,
            val_logits=candidate.val_logits,
            history=candidate.history + again.history,
        )

    def _course(self, name: str, probe: Probe | None, number: int) -> Course:
        train = self.shop.sample(self.pictures, Split.TRAIN)
        val = self.shop.sample(self.pictures, Split.VAL)
        side, device = self.pictures.how.crop, self.shop.loop.machine.device
        plain = self.start.build(self.shop.classes)
        epochs = affordable_epochs(self.knobs, plain, len(train), side, device)
        return Course(
            name=name,
            stage=self.stage,
            run=self.runs_before + number + 1,
            runs=self.runs,
            begin=self._begin(probe),
            classes=self.shop.classes,
            knobs=self.knobs,
            train=train,
            val=val if len(val) else None,
            balance=self.shop.balance(Split.TRAIN),
            epochs=epochs,
            stop_after=epochs,
            seed=self.shop.seed + number,
        )

    def _begin(self, probe: Probe | None) -> Callable[[], nn.Module]:
        wanted = {"drop_rate": self.knobs.dropout, "drop_path_rate": self.knobs.drop_path}
        arguments = {name: value for name, value in wanted.items() if value}

        def begin() -> nn.Module:
            network = self.start.build(self.shop.classes, arguments)
            return network if probe is None else with_probe(network, probe)

        return begin

    def _candidate(self, course: Course, trained: Trained) -> Candidate:
        state = {name: value.cpu() for name, value in trained.state.items()}
        return Candidate(
            course.name,
            self.stage,
            self.start,
            self.pictures.how,
            state,
            trained.val_logits,
            trained.best_epoch,
            trained.epochs,
            trained.history,
            course.seed,
        )


def with_probe(network: nn.Module, probe: Probe) -> nn.Module:
    """Put a probe on as the network's head."""
    head = head_of(network)
    if head is None or head.weight.shape != probe.weight.shape:
        raise ValueError("the network's head is no linear one of the probe's size")
    with torch.no_grad():
        head.weight.copy_(probe.weight)
        if head.bias is not None:
            head.bias.copy_(probe.bias)
    return network


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
