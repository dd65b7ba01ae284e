"""What the trainer is told of what went before."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgq_db.jobs import Job
from imgq_db.train_options import TrainOptions
from imgq_db.training.leases import TrainingLease, claim_training
from imgq_workers.context import new_uid
from imgq_workers.training.context import TrainerContext
from imgq_workers.training.loop import train
from imgq_workers.training.specs import write_spec


@pytest.fixture
def spec_of(context: TrainerContext, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Claim the next training, and return its specification."""

    def make(there: TrainerContext = context, **changes: Any) -> dict[str, Any]:
        lease: TrainingLease | None = claim_training(
            context.engine, owner=new_uid(), roots=context.roots, lease_seconds=60
        )
        assert lease is not None
        written = write_spec(there, replace(lease, **changes), tmp_path, None, ("cpu",))
        spec: dict[str, Any] = json.loads(written.read_bytes())
        return spec

    return make


def test_a_training_that_goes_on_has_the_time_that_is_left(
    submit_training: Callable[..., Job], spec_of: Callable[..., dict[str, Any]]
) -> None:
    for _ in range(3):
        submit_training({"max_seconds": 100})

    left = [spec_of(spent_seconds=spent)["max_seconds"] for spent in (0.0, 70.0, 500.0)]
    assert left == [100.0, 30.0, 1.0]


def test_what_a_model_learned_from_is_written_down_for_whoever_judges_it(
    context: TrainerContext,
    submit_training: Callable[..., Job],
    submit_evaluation: Callable[[str], Job],
    spec_of: Callable[..., dict[str, Any]],
    folder: Path,
) -> None:
    submit_training()
    train(context)
    submit_evaluation("birds")
    judged = spec_of()
    submit_training({"init": "birds:1"})
    trained = spec_of()

    # The stand-in trains on the first picture of each label, and tests on the last.
    assert len(Path(judged["learned"]).read_text().split()) == 2
    assert (judged["all_learned_known"], trained["all_learned_known"]) == (True, True)
    assert (judged["name"], trained["parent"]) == ("birds:1", "birds:1")


def test_of_the_built_in_model_nothing_is_held_to_be_learned(
    submit_training: Callable[..., Job], spec_of: Callable[..., dict[str, Any]]
) -> None:
    submit_training()
    spec = spec_of()

    assert (Path(spec["learned"]).read_text(), spec["all_learned_known"]) == ("", True)


def test_weights_below_a_root_are_named_by_their_path_here(
    context: TrainerContext,
    submit_training: Callable[..., Job],
    spec_of: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    submit_training()
    options = TrainOptions("birds", backbone="resnet18", config={"weights": "root:r/w", "seed": 1})
    settings = context.settings.model_copy(update={"roots": {"r": tmp_path}})
    there = replace(context, settings=settings)
    spec = spec_of(there, options=options)

    assert spec["config"] == {"weights": str(tmp_path.resolve() / "w"), "seed": 1}
