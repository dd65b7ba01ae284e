from pathlib import Path

import numpy as np

from imgq_trainer.crew import Crew
from imgq_trainer.datasets.gathering import Source
from imgq_trainer.datasets.making import make_evaluation_set
from imgq_trainer.evaluating.evaluation import evaluate
from imgq_trainer.evaluating.scored import Scored
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.training.explaining import mistakes
from imgq_trainer.training.scoring import Judge

LIMITS = ReadLimits(10**6, 10**6)


def test_the_pictures_are_those_of_the_evaluations_mistakes(colours: Path, crew: Crew) -> None:
    found = make_evaluation_set(
        Source(colours, None, None),
        ("blue", "green", "red"),
        limits=LIMITS,
        crew=crew,
        stop=lambda: False,
        progress=lambda done, total: None,
    )
    truth = np.array([example.label for example in found.examples])
    logits = np.random.default_rng(0).random((len(truth), 3), np.float32)
    logits[np.arange(len(truth)), (truth + 1) % 3] += 5  # all 42 wrong
    paths = tuple(example.path for example in found.examples)
    scored = Scored(logits, truth, paths, found.labels)
    judge = Judge(colours, LIMITS, crew, "cpu", lambda: False, lambda done, total: None)

    shown = mistakes(judge, found.examples, scored, 1.0)

    listed = evaluate(scored, temperature=1.0, majority=0, probe=None, seed=0).mistakes
    assert [picture.path for picture in shown] == [mistake.path for mistake in listed]
    assert len(shown) == 42
