"""The candidates of a training, made one after the other, and the one that is chosen."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.datasets.values import Split
from imgq_trainer.evaluating.wording import number_of
from imgq_trainer.training.budgets import Budget, make_budget
from imgq_trainer.training.candidates import (
    Candidate,
    Workshop,
    choose,
    learned_nothing,
    names_one_class,
)
from imgq_trainer.training.config import NetworkKnobs
from imgq_trainer.training.courses import macro_f1
from imgq_trainer.training.errors import NoProgress
from imgq_trainer.training.events import Stage
from imgq_trainer.training.network_trainers import NetworkTrainer
from imgq_trainer.training.pictures import Pictures
from imgq_trainer.training.plans import Plan
from imgq_trainer.training.probers import Prober
from imgq_trainer.training.probing import Probe, Truth
from imgq_trainer.training.refitting import TRAIN_ONLY, Refitter, distrust
from imgq_trainer.training.starting import Start
from imgq_trainer.training.turns import Networks

#: a network that was trained on fewer pictures is trained again on validation's too
FEW_PICTURES = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """words: what was decided. rejected: epochs of the candidates that were not chosen."""

    best: Candidate
    probe: Candidate | None
    words: str
    rejected: tuple[dict[str, Any], ...]
    #: seconds that an epoch of the best one took, nan if nobody knows
    pace: float


@dataclass(frozen=True, eq=False)
class Makers:
    """Makes the plan's candidates, and the chosen one once more."""

    shop: Workshop
    plan: Plan
    #: the pictures that are learned from, in a view
    pictures: Callable[[Preprocessing], Pictures]

    @cached_property
    def budget(self) -> Budget:
        """What is left of the time when this is first asked for: after the probe."""
        return make_budget(self.shop.loop.machine)

    def choose(self) -> Choice:
        """Make the candidates, and choose the best one on validation."""
        truth = self.shop.pool.truth[self.shop.pool.rows(Split.VAL)]
        made: list[Candidate] = []
        probe: Probe | None = None
        if self.plan.probed:
            self._say(Stage.PROBE)
            candidate, probe = self._prober().make()
            made.append(candidate)
        networks = self._networks(probe, others=bool(made))
        networks.train()
        made += networks.made
        kept = [made[0], *(c for c in made[1:] if not learned_nothing(c, truth))]
        if kept[0].history and learned_nothing(kept[0], truth):
            if len(kept) == 1:
                raise self._no_progress(kept[0], truth)
            kept = kept[1:]
        best = choose(kept, truth)
        words = compared(made, best, truth)
        if probe is not None and best is made[0]:
            words += at_the_edge(probe.l2, self.shop.config.probe.l2)
        self.shop.loop.events.log(words)
        words = " ".join([words, *networks.cuts])
        others = (row for each in made if each is not best for row in each.history)
        rejected = tuple({**row, "chosen": False} for row in others)
        probed = made[0] if self.plan.probed else None
        return Choice(best, probed, words, rejected, networks.pace_of(best))

    def refitted(self, choice: Choice) -> tuple[Candidate, str]:
        """Return the chosen candidate trained on validation's pictures too, where that is sound."""
        best, pool = choice.best, self.shop.pool
        if self.shop.config.refit == "no" or not len(pool.rows(Split.VAL)):
            return best, f"{TRAIN_ONLY}."
        if best.stage is Stage.PROBE:
            self._say(Stage.REFIT)
            return self._refitted_probe(best)
        if not self._refits_networks():
            return best, f"{TRAIN_ONLY}."
        trainer = next(
            t for t in self._trainers() if t.start is best.start and t.stage is best.stage
        )
        self._say(Stage.REFIT)
        course = trainer.refitting(best, self._probe_of_both(best))
        return Refitter(self.shop, trainer, self.budget, choice.pace).refit(best, course)

    def _refits_networks(self) -> bool:
        pool, asked = self.shop.pool, self.shop.config.refit
        few = len(pool.rows(Split.TRAIN)) < FEW_PICTURES
        return bool(len(pool.rows(Split.VAL))) and (asked == "yes" or (asked == "auto" and few))

    def _refitted_probe(self, best: Candidate) -> tuple[Candidate, str]:
        prober, pool = self._prober(), self.shop.pool
        _, probe = prober.make()
        again, fitted = prober.refit(probe, best.val_logits)
        rows = pool.rows(Split.VAL)
        logits = fitted.logits(prober.features()[rows])
        if reason := distrust(best.val_logits, logits, pool.truth[rows]):
            return best, reason
        return again, (
            "The model was fitted again on the training and validation splits together, as"
            f" strongly (L2 {probe.l2}); its temperature is that of the fit before."
        )

    def _probe_of_both(self, best: Candidate) -> Probe | None:
        if best.stage is not Stage.FINETUNE or not self.plan.probed:
            return None
        candidate, probe = self._prober().make()
        return self._prober().refit(probe, candidate.val_logits)[1]

    def _networks(self, probe: Probe | None, *, others: bool) -> Networks:
        refitted = self._refits_networks()
        trainers = tuple(self._trainers())
        return Networks(trainers, probe, self.shop.loop, self.budget, refitted, others)

    def _no_progress(self, candidate: Candidate, truth: Truth) -> NoProgress:
        one = None
        if names_one_class(candidate, truth):
            one = self.shop.pool.dataset.labels[int(candidate.val_logits[0].argmax())]
        return NoProgress(candidate.stage, len(candidate.history), one)

    def _prober(self) -> Prober:
        return Prober(self.shop, self.plan.start, self.pictures(self.plan.how))

    def _trainers(self) -> Iterator[NetworkTrainer]:
        config, plan = self.shop.config, self.plan
        if plan.finetuned:
            yield self._trainer(Stage.FINETUNE, plan.start, plan.how, config.finetune, 0, 1)
        networks = plan.blank + (plan.small is not None)
        if plan.blank:
            yield self._trainer(Stage.SCRATCH, plan.start, plan.how, config.scratch, 0, networks)
        if plan.small is not None:
            how = plan.small.preprocessing
            before = networks - 1
            yield self._trainer(Stage.SCRATCH, plan.small, how, config.scratch, before, networks)

    def _trainer(
        self,
        stage: Stage,
        start: Start,
        how: Preprocessing,
        knobs: NetworkKnobs,
        before: int,
        networks: int,
    ) -> NetworkTrainer:
        """before, networks: of this stage, before this one and in all."""
        pictures, seeds = self.pictures(how), knobs.seeds
        runs = networks * seeds
        return NetworkTrainer(self.shop, stage, start, pictures, knobs, before * seeds, runs)

    def _say(self, stage: Stage) -> None:
        self.shop.loop.events.stage(stage)


def compared(made: Sequence[Candidate], best: Candidate, truth: Truth) -> str:
    """Say how the candidates did on validation, which one was chosen, and why a lower one was."""
    scores = [macro_f1(each.val_logits, truth) for each in made]
    names = names_of(made)
    figures = ", ".join(f"{name} {score:.3f}" for name, score in zip(names, scores, strict=True))
    place = next(place for place, each in enumerate(made) if each is best)
    said = f"Macro-F1 on {number_of(len(truth), 'picture')} of validation: {figures}."
    lead = " Higher ones may be luck." if max(scores) > scores[place] else ""
    return f"{said} Chosen: {names[place]}.{lead}"


def names_of(made: Sequence[Candidate]) -> list[str]:
    """Return what candidates are called in sentences: as little as tells them apart."""
    named = []
    for each in made:
        alike = [other for other in made if other.stage is each.stage]
        network, several = each.start.architecture.name, len({id(one.start) for one in alike}) > 1
        runs = [one for one in alike if one.start is each.start]
        seed = 1 + next(place for place, one in enumerate(runs) if one is each)
        name = f"{each.stage} of {network}" if several else str(each.stage)
        named.append(f"{name}, seed {seed}" if len(runs) > 1 else name)
    return named


def at_the_edge(l2: float, tried: Sequence[float]) -> str:
    """Say, after a sentence, that a strength beyond those that were tried may be better still."""
    if min(tried) < l2 < max(tried) or min(tried) == max(tried):
        return ""
    beyond = "weaker" if l2 == min(tried) else "stronger"
    return f" No {beyond} L2 than {l2} was tried: the key probe.l2 widens the choice."
