"""Two models on the same pictures: may one take the other's place?"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from imgq_trainer.artifacts import Artifact, load_artifact
from imgq_trainer.classifier import find_device
from imgq_trainer.crew import Crew
from imgq_trainer.datasets.values import Example, Split
from imgq_trainer.evaluating.promotion import LEAST_PICTURES, Decision, compare
from imgq_trainer.evaluating.scored import Flags
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.training.events import Events, Stage
from imgq_trainer.training.pictures import Progress, Stop
from imgq_trainer.training.scoring import Judge
from imgq_trainer.training.spec import CompareSpec


@dataclass(frozen=True, slots=True)
class _Picture:
    example: Example
    label: str


def run_comparison(spec: CompareSpec, events: Events, stop: Stop) -> None:
    """Compare and decide; the last event is `done`. Raises TrainerError, Stopped."""
    champion, challenger = load_artifact(spec.champion), load_artifact(spec.challenger)
    pictures = _read_pictures(spec, champion.model.labels)
    events.scanned(Counter(each.label for each in pictures), spec.notes)
    events.stage(Stage.EVALUATE)
    champion_correct, challenger_correct = _judge(
        spec, pictures, (champion, challenger), stop, events.progress
    )
    decision = compare(
        champion_correct,
        challenger_correct,
        truth=np.array([each.example.label for each in pictures], np.int64),
        labels=champion.model.labels,
        challenger_labels=challenger.model.labels,
    )
    events.done(metrics=asdict(decision.counts), decision=_told(decision, spec.notes))


def _told(decision: Decision, notes: Sequence[str]) -> dict[str, object]:
    """conclusive: the same two versions would be judged so again."""
    conclusive = decision.counts.pictures >= LEAST_PICTURES
    return {
        "passed": decision.passed,
        "reasons": [*decision.reasons, *(() if conclusive else notes)],
        "counts": {**asdict(decision.counts), "conclusive": conclusive},
    }


def _read_pictures(spec: CompareSpec, labels: Sequence[str]) -> tuple[_Picture, ...]:
    rows = [json.loads(line) for line in spec.pictures.read_bytes().splitlines()]
    return tuple(
        _Picture(
            Example(
                path=row["path"].encode(),
                label=labels.index(row["label"]),
                split=Split.TEST,
                digest=bytes.fromhex(row["sha256"]),
                group=None,
                cluster=number,
            ),
            row["label"],
        )
        for number, row in enumerate(rows)
    )


def _judge(
    spec: CompareSpec,
    pictures: Sequence[_Picture],
    models: Sequence[Artifact],
    stop: Stop,
    progress: Progress,
) -> list[Flags]:
    """Return for each model which pictures it has right, by the label's name.

    Too few to decide by are not computed.
    """
    if len(pictures) < LEAST_PICTURES:
        return [np.zeros(len(pictures), np.bool_) for _ in models]
    limits = ReadLimits(spec.max_pixels, spec.max_file_bytes)
    truth = np.array([each.label for each in pictures])
    flags = []
    with Crew(spec.threads) as crew:
        judge = Judge(spec.root, limits, crew, str(find_device(spec.device)), stop, progress)
        for model in models:
            scored = judge.score(judge.classifier(model), [each.example for each in pictures])
            flags.append(np.array(model.model.labels)[scored.predicted] == truth)
    return flags
