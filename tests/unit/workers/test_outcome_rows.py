"""From outcomes to rows: every status and every code, none forgotten."""

import re

import pytest

from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.outcome_codes import OUTCOME_CODES
from imgq_trainer.outcomes import Code, Prediction, Rejection, Status
from imgq_workers.outcome_rows import ledger_row

ROW_STATUS = {Status.FAILED: RowStatus.FAILED, Status.SKIPPED: RowStatus.SKIPPED}
PREDICTION = Prediction(b"\1" * 32, (3, 1), (0.75, 0.25))
CODES = (
    "empty_file not_an_image truncated corrupt too_large unreadable vanished changed outside_root"
    " not_regular_file unsupported_format read_timeout decode_timeout out_of_memory worker_crash"
    " to_do"
)


def test_the_list_of_codes_is_the_published_one() -> None:
    assert [code.value for code in Code] == CODES.split() == list(OUTCOME_CODES)


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("status", ROW_STATUS)
@pytest.mark.parametrize("digest", [None, b"\2" * 32])
def test_every_rejection_becomes_a_row_that_says_why(
    code: Code, status: Status, digest: bytes | None
) -> None:
    row = ledger_row(b"a", Rejection(status, code, "so it is", digest), min_confidence=0.5)
    assert row == LedgerRow(
        b"a", ROW_STATUS[status], digest=digest, error_code=code.value, error_detail="so it is"
    )


@pytest.mark.parametrize("code", Code)
def test_a_rejection_is_never_ok(code: Code) -> None:
    with pytest.raises(ValueError, match="cannot be ok"):
        ledger_row(b"a", Rejection(Status.OK, code, ""), min_confidence=None)


def test_every_status_of_the_trainer_has_its_row_status() -> None:
    assert {*ROW_STATUS, Status.OK} == set(Status)
    assert {*ROW_STATUS.values(), RowStatus.OK} == set(RowStatus)


@pytest.mark.parametrize(
    ("min_confidence", "label"), [(None, 3), (0.0, 3), (0.75, 3), (0.7501, None), (1.0, None)]
)
def test_a_label_below_the_least_confidence_is_left_out_its_scores_are_not(
    min_confidence: float | None, label: int | None
) -> None:
    assert ledger_row(b"a", PREDICTION, min_confidence=min_confidence) == LedgerRow(
        b"a", RowStatus.OK, label, (3, 1), (0.75, 0.25), b"\1" * 32
    )


def test_a_score_is_held_against_the_least_confidence_as_it_is_stored() -> None:
    score = 0.699999988079071  # 0.7 in single precision, and shown as such
    row = ledger_row(b"a", Prediction(b"", (0,), (score,)), min_confidence=0.7)
    assert row.label == 0


def test_codes_are_words_that_need_no_quoting() -> None:
    assert [code for code in Code if not re.fullmatch("[a-z_]+", code.value)] == []
