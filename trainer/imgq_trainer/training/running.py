"""A training from its beginning to its end: the only place that knows all parts."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from pydantic import JsonValue

from imgq_trainer.artifacts import Artifact, Preprocessing
from imgq_trainer.classifier import find_device
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.making import make_dataset
from imgq_trainer.datasets.snapshots import DATASET_FILE, read_dataset, write_dataset
from imgq_trainer.datasets.values import Dataset, Split
from imgq_trainer.evaluating.calibration import fit_temperature
from imgq_trainer.evaluating.scored import Scored
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.training.baselines import make_baseline
from imgq_trainer.training.candidates import Candidate, Pool, Workshop
from imgq_trainer.training.checkpoints import Checkpoint, Keeper, read_checkpoint
from imgq_trainer.training.choosing import Choice, Makers
from imgq_trainer.training.config import Config, configure
from imgq_trainer.training.events import Events, Stage
from imgq_trainer.training.guarding import guard_test_split
from imgq_trainer.training.judging import (
    Told,
    examples_of,
    judge_model,
    metrics_of,
    say_done,
    say_scanned,
    versions,
)
from imgq_trainer.training.learned import known_of
from imgq_trainer.training.looking import look_at
from imgq_trainer.training.loop import Loop
from imgq_trainer.training.machine import Machine, share_of
from imgq_trainer.training.pictures import (
    DecodedPictures,
    Pictures,
    Stop,
    decoded_pictures,
    store_pictures,
)
from imgq_trainer.training.plans import check_disk, check_start, make_plan, pictures_fit
from imgq_trainer.training.scoring import Judge
from imgq_trainer.training.seats import Seat, device_of, joined
from imgq_trainer.training.spec import TrainSpec
from imgq_trainer.training.starting import Start, find_start
from imgq_trainer.training.teams import ALONE, Team, leading
from imgq_trainer.training.work_folders import drop_results, drop_scratch
from imgq_trainer.training.writing import write_model

#: what one training need not have in common with another to go on from its checkpoint
NOT_IDENTITY = {
    "work_dir",
    "resume",
    "threads",
    "device",
    "processes",
    "answer_seconds",
    "max_seconds",
    "name",
    "learned",
    "all_learned_known",
}


#: paths that mean something to nobody but the machine that trains
PLACES = {"work_dir", "resume", "init_artifact", "learned"}


def run_training(spec: TrainSpec, events: Events, stop: Stop, seat: Seat | None = None) -> None:
    """Train, evaluate, report; the last event is `done`.

    stop: asked several times a second, and between two steps. seat: of the leader of several
    processes. Raises TrainerError; Stopped after a checkpoint of the network that is underway;
    ProcessLost.
    """
    deadline = None if spec.max_seconds is None else monotonic() + spec.max_seconds
    config = configure(spec)
    device = device_of(seat, find_device(spec.device))
    processes = 1 if seat is None else seat.count
    threads = share_of(spec.threads, processes, device)
    machine = Machine(device, threads, stop, deadline)
    spec.work_dir.mkdir(parents=True, exist_ok=True)
    drop_results(spec.work_dir)
    weights = None if config.weights is None else Path(config.weights)
    start = find_start(spec, spec.work_dir / "models", weights)
    check_start(spec, config, start)
    check_disk(spec.work_dir, start, config)
    limits = ReadLimits(spec.max_pixels, spec.max_file_bytes)
    with Crew(spec.threads) as crew, ExitStack() as stack, _team(spec, seat, device) as team:
        events.stage(Stage.SCAN)
        dataset = _dataset(spec, limits, crew, stop, events)
        say_scanned(events, dataset)
        if team.count > 1:
            events.log(f"Each step of a network is shared by {team.count} processes.")
        _Training(
            spec, config, events, machine, start, dataset, limits, crew, stack, {}, team
        ).run()


@dataclass(frozen=True, slots=True, eq=False)
class _Training:
    spec: TrainSpec
    config: Config
    events: Events
    machine: Machine
    start: Start
    dataset: Dataset
    limits: ReadLimits
    crew: Crew
    #: closes what views hold open
    stack: ExitStack
    views: dict[Preprocessing, Pictures]
    team: Team

    def run(self) -> None:
        pool = Pool(self.dataset)
        looks = look_at(self.spec.root, pool.examples, self.limits)
        smallest = min(pool.counts(Split.TRAIN, Split.VAL))
        classes = len(self.dataset.labels)
        plan = make_plan(self.spec, self.config, self.start, looks, smallest, classes)
        shop = self._workshop(pool)
        notes = [*plan.notes, shop.balance(Split.TRAIN).words]
        if self.spec.resume is None:  # else it was said when the training began
            for note in notes:
                self.events.log(note)
        makers = Makers(shop, plan, self._pictures)
        choice = makers.choose()
        final, refitted = makers.refitted(choice)
        self.events.log(refitted)
        notes += [choice.words, refitted]
        probe = choice.probe
        if probe is None:
            models = self.spec.work_dir / "models"
            probe, compared = make_baseline(shop, models, plan.how.fit, self._decoded)
            self.events.log(compared)
            notes.append(compared)
        self._finish(choice, probe, final, notes)

    def _workshop(self, pool: Pool) -> Workshop:
        folder, spec = self.spec.work_dir, self.spec
        identity = _identity(spec, self.dataset)
        before = Checkpoint(identity)
        if spec.resume is not None:
            before = read_checkpoint(spec.resume, identity)
            self.events.log(f"Training goes on from checkpoint {before.number}.")
        keeper = Keeper(folder / "checkpoints", before, self.events)
        guard = guard_test_split(spec.root, self.dataset, self.crew, self.machine.stop)
        loop = Loop(self.machine, keeper, self.events, self.config.checkpoints, guard, self.team)
        return Workshop(pool, self.config, loop, self.crew, folder / "cache", spec.seed)

    def _pictures(self, how: Preprocessing) -> Pictures:
        """Return what is learned from in a view, stored unless it is used once or is too large."""
        if how not in self.views:
            spec, source = self.spec, self._decoded(how)
            self.views[how] = source
            if spec.preset != "fast" and pictures_fit(spec.work_dir, self.config, len(source), how):
                folder = spec.work_dir / "cache"
                self.views[how] = store_pictures(
                    source, folder, self.machine.stop, self.events.progress
                )
        return self.views[how]

    def _decoded(self, how: Preprocessing) -> DecodedPictures:
        """Return what is learned from in a view, to be used once."""
        examples = Pool(self.dataset).examples
        pictures = decoded_pictures(self.spec.root, examples, how, self.limits, self.crew)
        return self.stack.enter_context(pictures)

    def _finish(
        self, choice: Choice, probe: Candidate | None, final: Candidate, notes: list[str]
    ) -> None:
        """probe: what the model is compared with, if it is not that itself."""
        best = choice.best
        work, spec, dataset = self.spec.work_dir, self.spec, self.dataset
        self.events.stage(Stage.CALIBRATE)
        pool = Pool(dataset)
        truth = pool.truth[pool.rows(Split.VAL)]
        temperature = fit_temperature(best.val_logits, truth) if len(truth) else 1.0
        majority = int(np.argmax(pool.counts(Split.TRAIN)))
        provenance = self._provenance(final, dataset.labels[majority])
        self.events.stage(Stage.EVALUATE)
        judge = Judge(
            spec.root,
            self.limits,
            self.crew,
            str(self.machine.device),
            self.machine.stop,
            self.events.progress,
        )
        unjudged, scores = self._scored(judge, final, "unjudged", temperature, provenance)
        probed = None
        if probe is not None and probe is not best:
            _, probed = self._scored(judge, probe, "probe", temperature, provenance)
        self.events.stage(Stage.REPORT)
        told = Told(
            title=f"Training of {spec.name}",
            model=spec.name,
            settings=_settings(spec, self.config),
            notes=notes,
            history=(*choice.rejected, *final.history),
            digests={"weights": unjudged.model.weights.sha256},
        )
        verdict = judge_model(
            judge,
            unjudged,
            dataset,
            told,
            work,
            majority=majority,
            probe=probed,
            scored=scores,
            seed=spec.seed,
            tested_on="test split",
            known=known_of(spec, dataset, examples_of(dataset, Split.TEST)),
            chosen_on=len(truth),
        )
        metrics = metrics_of(verdict.evaluation)
        artifact = write_model(
            work / "artifact", final, dataset.labels, temperature, metrics, provenance
        )
        self.stack.close()  # whatever reads the stored pictures
        drop_scratch(work)
        say_done(self.events, artifact, verdict, dataset, work)

    def _scored(
        self,
        judge: Judge,
        candidate: Candidate,
        place: str,
        temperature: float,
        provenance: dict[str, JsonValue],
    ) -> tuple[Artifact, Scored]:
        """Write a model, and let it classify the test split as serving would."""
        labels = self.dataset.labels
        folder = self.spec.work_dir / place
        model = write_model(folder, candidate, labels, temperature, {}, provenance)
        examples = examples_of(self.dataset, Split.TEST)
        return model, judge.score(judge.classifier(model), examples)

    def _provenance(self, final: Candidate, majority: str) -> dict[str, JsonValue]:
        found = versions()
        return {
            "title": self.spec.name,
            "dataset": self.dataset.digest,
            "test_split": self.dataset.test_digest,
            "parent": final.start.parent,
            "seed": final.seed,
            "preset": self.spec.preset,
            "stage": str(final.stage),
            "majority": majority,
            "code_version": found.get("imgq", "unknown"),
            "versions": dict(found),
        }


@contextmanager
def _team(spec: TrainSpec, seat: Seat | None, device: torch.device) -> Iterator[Team]:
    if seat is None:
        yield ALONE
        return
    with joined(seat, spec.work_dir, device, spec.answer_seconds) as group, leading(group) as led:
        yield led


def _dataset(
    spec: TrainSpec, limits: ReadLimits, crew: Crew, stop: Stop, events: Events
) -> Dataset:
    """Make the dataset; when a training goes on, it is the one that it began with."""
    folder = spec.work_dir / "dataset"
    if spec.resume is not None and (folder / DATASET_FILE).exists():
        return read_dataset(folder)
    dataset = make_dataset(
        spec.root,
        manifest=spec.manifest,
        fractions=spec.fractions,
        group_by=spec.group_by,
        limits=limits,
        crew=crew,
        stop=stop,
        progress=events.progress,
    )
    write_dataset(folder, dataset)
    return dataset


def _identity(spec: TrainSpec, dataset: Dataset) -> str:
    asked = spec.model_dump(mode="json", exclude=NOT_IDENTITY)
    text = json.dumps([asked, dataset.digest], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _settings(spec: TrainSpec, config: Config) -> dict[str, JsonValue]:
    asked = spec.model_dump(mode="json", exclude={"config", *PLACES})
    return {**asked, "config": config.model_dump(mode="json")}
