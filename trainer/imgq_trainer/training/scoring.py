"""A model's scores of a dataset's pictures, by the very code that serves it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imgq_trainer.artifacts import Artifact
from imgq_trainer.classifier import Classifier, load_classifier
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.errors import DatasetChanged
from imgq_trainer.datasets.values import Example
from imgq_trainer.engines import choose_engine, precisions
from imgq_trainer.evaluating.scored import Scored
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.outcomes import Prediction
from imgq_trainer.pipeline import classify_files
from imgq_trainer.training.pictures import Progress, Stop

#: the smallest probability that is told from 0
LEAST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Judge:
    """Where pictures are read and computed."""

    root: Path
    limits: ReadLimits
    crew: Crew
    device: str
    stop: Stop
    progress: Progress

    def classifier(self, artifact: Artifact) -> Classifier:
        """Load a model in the precision that jobs get here if they ask for none."""
        precision = precisions(self.device, choose_engine("auto", self.device))[0]
        return load_classifier(
            artifact, device=self.device, precision=precision, threads=self.crew.count
        )

    def score(self, classifier: Classifier, examples: Sequence[Example]) -> Scored:
        """Classify pictures as a job would.

        The logits are those of the model but for a constant for each picture, which changes no
        probability at any temperature. Raises DatasetChanged, Stopped, ScoresNotFinite.
        """
        count, classes = len(examples), len(classifier.labels)
        logits = np.empty((count, classes), np.float32)
        outcomes = classify_files(
            classifier,
            self.root,
            [example.path for example in examples],
            top_k=classes,
            limits=self.limits,
            crew=self.crew,
            stop=self.stop,
        )
        for row, (example, outcome) in enumerate(zip(examples, outcomes, strict=True)):
            if not isinstance(outcome, Prediction) or outcome.digest != example.digest:
                raise DatasetChanged([example.path])
            scores = np.maximum(np.asarray(outcome.scores, np.float32), LEAST)
            logits[row, list(outcome.top)] = np.log(scores) * classifier.temperature
            self.progress(row + 1, count)
        truth = np.array([example.label for example in examples], np.int64)
        paths = tuple(example.path for example in examples)
        return Scored(logits, truth, paths, classifier.labels)
