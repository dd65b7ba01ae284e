"""Aliases: the gate before champion, their history, and the way back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.aliases import Alias, Decision, get_alias
from imgq_db.errors import AliasInvalid, ModelNotFound, NothingToRollBack, PromotionRefused
from imgq_db.jobs import JobState, get_job
from imgq_db.keys import Scope, mint_key
from imgq_db.models import ModelVersion, NewVersion, get_model, register_version, resolve_model
from imgq_db.promotions import NOT_COMPARED, promote, roll_back
from imgq_db.training.leases import TrainingLease, claim_training
from imgq_db.training.outcomes import finish_comparison

NEW = NewVersion("0" * 64, "resnet18", ("a", "b"), {}, {"accuracy": 0.5})
COUNTS = {"pictures": 40, "champion_right": 38, "challenger_right": 30, "conclusive": True}
PASSED = {"passed": True, "reasons": [], "counts": COUNTS}
REFUSED = {"passed": False, "reasons": ["The challenger is worse."], "counts": COUNTS}

Claim = Callable[[], TrainingLease]


@pytest.fixture
def birds(engine: Engine) -> list[ModelVersion]:
    """birds:1 to birds:3, with the same labels."""
    return [register_version(engine, "birds", replace(NEW, digest=d * 64)) for d in "123"]


@pytest.fixture
def claim(engine: Engine) -> Claim:
    def make() -> TrainingLease:
        lease = claim_training(engine, owner=uuid4(), roots=[], lease_seconds=30)
        assert lease is not None
        return lease

    return make


def champion(engine: Engine) -> Alias:
    return get_alias(engine, "birds", "champion")


def told(alias: Alias) -> list[tuple[int | None, int, str]]:
    """Return the history, oldest first."""
    return [(c.from_version, c.to_version, c.decision.value) for c in reversed(alias.history)]


def test_the_first_champion_needs_no_gate(engine: Engine, birds: list[ModelVersion]) -> None:
    alias = promote(engine, birds[0], "champion", force=False)
    assert (alias.version, alias.job, told(alias)) == (1, None, [(None, 1, "first")])
    assert resolve_model(engine, "birds").ref == "birds:1"
    again = promote(engine, birds[0], "champion", force=False)
    assert again == alias


def test_a_version_that_its_training_failed_becomes_champion_by_force_alone(
    engine: Engine, birds: list[ModelVersion]
) -> None:
    failed = replace(birds[2], metrics={"standing": "failed"}, training={"verdict": ["No.", "b"]})
    with pytest.raises(PromotionRefused) as refused:
        promote(engine, failed, "champion", force=False)
    assert refused.value.reasons == ("The report of birds:3 says not to use it.", "No.")
    alias = promote(engine, failed, "champion", force=True)
    assert (alias.version, told(alias)) == (3, [(None, 3, "refused"), (None, 3, "forced")])
    assert {change.reasons for change in alias.history} == {refused.value.reasons}
    promote(engine, birds[0], "champion", force=True)
    again = promote(engine, failed, "champion", force=True)
    assert again.history[0].reasons == refused.value.reasons


def test_the_next_one_waits_for_a_comparison(engine: Engine, birds: list[ModelVersion]) -> None:
    promote(engine, birds[0], "champion", force=False)
    alias = promote(engine, birds[1], "champion", force=False)
    assert alias.version == 1 and alias.job is not None
    job = get_job(engine, alias.job)
    assert (job.kind, job.model, job.name) == ("evaluate", "birds:2", "birds:2 against birds:1")
    assert promote(engine, birds[1], "champion", force=False).job == alias.job
    assert champion(engine).job == alias.job


@pytest.mark.parametrize(
    ("judged", "version", "decision"), [(PASSED, 2, "passed"), (REFUSED, 1, "refused")]
)
def test_the_comparison_decides(
    judged: dict[str, Any],
    version: int,
    decision: str,
    engine: Engine,
    birds: list[ModelVersion],
    claim: Claim,
) -> None:
    promote(engine, birds[0], "champion", force=False)
    job = promote(engine, birds[1], "champion", force=False).job
    assert finish_comparison(engine, claim(), judged) == "birds:2"
    alias = champion(engine)
    assert (alias.version, alias.job) == (version, None)
    change = alias.history[0]
    assert (change.decision, change.job, change.counts) == (decision, job, COUNTS)
    assert change.reasons == tuple(judged["reasons"])
    ended = get_job(engine, job) if job else None
    assert ended and ended.state is JobState.SUCCEEDED and ended.result
    assert ended.result["promotion"]["decision"] == decision


def test_what_was_refused_stays_refused_without_another_comparison(
    engine: Engine, birds: list[ModelVersion], claim: Claim
) -> None:
    promote(engine, birds[0], "champion", force=False)
    promote(engine, birds[1], "champion", force=False)
    finish_comparison(engine, claim(), REFUSED)
    with pytest.raises(PromotionRefused) as refused:
        promote(engine, birds[1], "champion", force=False)
    assert refused.value.reasons == ("The challenger is worse.",)
    assert told(champion(engine))[1:] == [(1, 2, "refused"), (1, 2, "refused")]


def test_too_few_pictures_are_no_answer_for_ever(
    engine: Engine, birds: list[ModelVersion], claim: Claim
) -> None:
    promote(engine, birds[0], "champion", force=False)
    promote(engine, birds[1], "champion", force=False)
    finish_comparison(engine, claim(), {**REFUSED, "counts": {"pictures": 3, "conclusive": False}})
    assert promote(engine, birds[1], "champion", force=False).job is not None


def test_other_labels_are_refused_at_once(engine: Engine, birds: list[ModelVersion]) -> None:
    promote(engine, birds[0], "champion", force=False)
    other = register_version(engine, "birds", replace(NEW, digest="4" * 64, labels=("a", "c")))
    with pytest.raises(PromotionRefused) as refused:
        promote(engine, other, "champion", force=False)
    (reason,) = refused.value.reasons
    assert "it lacks 1 of them, and has 1 of its own" in reason
    assert champion(engine).history[0].reasons == (reason,)
    assert champion(engine).version == 1


def test_force_moves_at_once_and_is_written_down_with_who_did_it(
    engine: Engine, birds: list[ModelVersion], claim: Claim
) -> None:
    key, _ = mint_key(engine, name="mia", scopes=[Scope.TRAIN])
    promote(engine, birds[0], "champion", force=False)
    forced = promote(engine, birds[1], "champion", force=True, key_id=key.id)
    change = forced.history[0]
    assert (forced.version, change.decision, change.by) == (2, Decision.FORCED, key.prefix)
    assert change.reasons == (NOT_COMPARED,)
    promote(engine, birds[2], "champion", force=False)
    finish_comparison(engine, claim(), REFUSED)
    again = promote(engine, birds[2], "champion", force=True)
    assert again.history[0].reasons == ("The challenger is worse.",)


def test_of_two_promotions_at_once_the_second_is_compared_with_the_wrong_one(
    engine: Engine, birds: list[ModelVersion], claim: Claim
) -> None:
    promote(engine, birds[0], "champion", force=False)
    for version in birds[1:]:
        promote(engine, version, "champion", force=False)
    leases = [claim(), claim()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda lease: finish_comparison(engine, lease, PASSED), leases))
    alias = champion(engine)
    first, second = told(alias)[1:]
    assert (first[2], second[2]) == ("passed", "outdated")
    assert alias.version == first[1] and {first[1], second[1]} == {2, 3}
    assert "meanwhile" in alias.history[0].reasons[0]


def test_eight_first_champions_at_once_are_one(engine: Engine, birds: list[ModelVersion]) -> None:
    def move(version: ModelVersion) -> UUID | None:
        return promote(engine, version, "champion", force=False).job

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(move, birds * 3))
    assert [decision for *_, decision in told(champion(engine))] == ["first"]


def test_rolling_back_goes_one_step_further_each_time(
    engine: Engine, birds: list[ModelVersion]
) -> None:
    for version in birds:
        promote(engine, version, "champion", force=True)
    for before, after in ((3, 2), (3, 2), (2, 1)):  # asked again, it is the same step
        assert roll_back(engine, "birds", "champion", from_version=before).version == after
    with pytest.raises(NothingToRollBack):
        roll_back(engine, "birds", "champion", from_version=1)
    history = told(champion(engine))
    assert history[3:] == [(3, 2, "rollback"), (2, 1, "rollback")]


def test_other_aliases_have_no_gate(engine: Engine, birds: list[ModelVersion]) -> None:
    assert promote(engine, birds[0], "staging", force=False).version == 1
    moved = promote(engine, birds[2], "staging", force=False)
    assert told(moved) == [(None, 1, "ungated"), (1, 3, "ungated")]
    assert resolve_model(engine, "birds@staging").ref == "birds:3"


def test_what_is_not_there_cannot_be_promoted(engine: Engine, birds: list[ModelVersion]) -> None:
    with pytest.raises(AliasInvalid):
        promote(engine, birds[0], "Champion!", force=False)
    with pytest.raises(ModelNotFound):
        promote(engine, replace(birds[0], id=10**9), "champion", force=False)
    with pytest.raises(ModelNotFound):
        roll_back(engine, "birds", "champion", from_version=1)
    with pytest.raises(ModelNotFound):
        champion(engine)
    assert len(get_model(engine, "birds")) == 3
