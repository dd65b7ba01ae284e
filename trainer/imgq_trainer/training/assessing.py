"""An evaluation from its beginning to its end: a model on a labelled folder."""

import numpy as np

from imgq_trainer.artifacts import Artifact, load_artifact
from imgq_trainer.classifier import find_device
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.gathering import Source
from imgq_trainer.datasets.making import make_evaluation_set
from imgq_trainer.datasets.snapshots import write_dataset
from imgq_trainer.datasets.values import Dataset
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.training.events import Events, Stage
from imgq_trainer.training.judging import Told, judge_model, say_done, say_scanned
from imgq_trainer.training.learned import known_of
from imgq_trainer.training.pictures import Stop
from imgq_trainer.training.scoring import Judge
from imgq_trainer.training.spec import EvaluateSpec

#: paths that mean something to nobody but the machine that evaluates
PLACES = {"work_dir", "artifact", "learned"}
NO_PROBE = (
    "There is no linear probe to compare with: it takes training pictures to fit one, and an"
    " evaluation has none. The report of the version's training has the comparison."
)


def run_evaluation(spec: EvaluateSpec, events: Events, stop: Stop) -> None:
    """Evaluate and report; the last event is `done`. Raises TrainerError, Stopped."""
    device = str(find_device(spec.device))
    artifact = load_artifact(spec.artifact)
    limits = ReadLimits(spec.max_pixels, spec.max_file_bytes)
    with Crew(spec.threads) as crew:
        events.stage(Stage.SCAN)
        dataset = make_evaluation_set(
            Source(spec.root, spec.manifest, None),
            artifact.model.labels,
            limits=limits,
            crew=crew,
            stop=stop,
            progress=events.progress,
        )
        write_dataset(spec.work_dir / "dataset", dataset)
        say_scanned(events, dataset)
        events.stage(Stage.EVALUATE)
        judge = Judge(spec.root, limits, crew, device, stop, events.progress)
        scored = judge.score(judge.classifier(artifact), dataset.examples)
        events.stage(Stage.REPORT)
        name = spec.name or str(artifact.model.provenance.get("title") or "a model without a name")
        told = Told(
            title=f"Evaluation of {name}",
            model=name,
            settings=spec.model_dump(mode="json", exclude=PLACES),
            notes=[NO_PROBE],
            digests={"model": artifact.digest},
        )
        verdict = judge_model(
            judge,
            artifact,
            dataset,
            told,
            spec.work_dir,
            majority=_majority(artifact, dataset),
            probe=None,
            scored=scored,
            seed=spec.seed,
            tested_on="evaluation",
            known=known_of(spec, dataset, dataset.examples),
            chosen_on=None,
        )
        say_done(events, artifact, verdict, dataset, spec.work_dir)


def _majority(artifact: Artifact, dataset: Dataset) -> int:
    """Return the most frequent class of the model's training, or else of these pictures."""
    label = artifact.model.provenance.get("majority")
    if isinstance(label, str) and label in artifact.model.labels:
        return artifact.model.labels.index(label)
    return int(np.bincount([example.label for example in dataset.examples]).argmax())
