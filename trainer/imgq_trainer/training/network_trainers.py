"""One network, trained with one seed after the other, and the chosen one once more."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from imgq_trainer.datasets.values import Split
from imgq_trainer.training.candidates import Candidate, Workshop
from imgq_trainer.training.config import NetworkKnobs
from imgq_trainer.training.courses import Course, Trained, affordable_epochs
from imgq_trainer.training.events import Stage
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.pictures import Pictures
from imgq_trainer.training.probers import with_probe
from imgq_trainer.training.probing import Probe
from imgq_trainer.training.starting import Start


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

    def course(self, probe: Probe | None, number: int) -> Course:
        """Return the course with the seed of a number, from 0."""
        return self._course(f"{self.stage}-{self.start.architecture.name}-{number}", probe, number)

    def train(self, course: Course, loop: Loop) -> Candidate:
        """Raises Stopped, TrainingDiverged, OutOfMemory."""
        return self._candidate(course, loop.train(course))

    def refit(self, candidate: Candidate, course: Course, loop: Loop) -> Candidate:
        """Return what a course on validation's pictures too comes to, in the candidate's place."""
        again = self.train(course, loop)
        return replace(
            again,
            val_logits=candidate.val_logits,
            history=candidate.history + again.history,
        )

    def refitting(self, candidate: Candidate, probe: Probe | None) -> Course:
        """Return a course as long as the candidate's best epoch, on validation's pictures too."""
        both = (Split.TRAIN, Split.VAL)
        first = self._course("refit", probe, candidate.seed - self.shop.seed)
        return replace(
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
            trained.cut_off,
        )
