import numpy as np
import pytest

from imgq_trainer.training.candidates import Candidate
from imgq_trainer.training.choosing import at_the_edge, compared, names_of
from imgq_trainer.training.events import Stage
from imgq_trainer.training.starting import Start, small_start

SMALL, LARGE = small_start(16, 8, 0), small_start(32, 8, 0)
TRUTH = np.arange(20) % 2


def candidate(stage: Stage, right: int = 10, start: Start = SMALL) -> Candidate:
    said = np.where(np.arange(20) < right, TRUTH, 1 - TRUTH)
    logits = np.eye(2, dtype=np.float32)[said]
    return Candidate("c", stage, start, start.preprocessing, {}, logits, 1, 1, (), 0)


def test_a_choice_against_a_higher_figure_is_explained() -> None:
    made = [candidate(Stage.PROBE, 10), candidate(Stage.FINETUNE, 12)]

    assert compared(made, made[0], TRUTH) == (
        "Macro-F1 on 20 pictures of validation: probe 0.500, finetune 0.600. Chosen: probe."
        " Higher ones may be luck."
    )
    assert compared(made, made[1], TRUTH).endswith("Chosen: finetune.")


def test_candidates_are_told_apart_by_network_and_seed_where_there_are_several() -> None:
    scratch = [candidate(Stage.SCRATCH, start=start) for start in (LARGE, SMALL, SMALL)]

    assert names_of([candidate(Stage.PROBE), *scratch]) == [
        "probe",
        "scratch of small_cnn",
        "scratch of small_cnn, seed 1",
        "scratch of small_cnn, seed 2",
    ]


@pytest.mark.parametrize(
    ("l2", "words"),
    [
        (0.1, " No stronger L2 than 0.1 was tried: the key probe.l2 widens the choice."),
        (0.01, ""),
        (0.001, " No weaker L2 than 0.001 was tried: the key probe.l2 widens the choice."),
    ],
)
def test_a_choice_at_the_edge_of_what_was_tried_is_told(l2: float, words: str) -> None:
    assert at_the_edge(l2, (0.1, 0.01, 0.001)) == words


def test_a_single_strength_is_no_choice() -> None:
    assert at_the_edge(0.1, (0.1,)) == ""
