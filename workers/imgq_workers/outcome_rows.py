"""From the trainer's outcome of one file to the ledger's row."""

import struct
from typing import assert_never

from imgq_db.ledger import LedgerRow, RowStatus
from imgq_trainer.outcomes import Outcome, Prediction, Rejection, Status


def ledger_row(path: bytes, outcome: Outcome, *, min_confidence: float | None) -> LedgerRow:
    """Return the row of one image; a best score below min_confidence leaves its label null."""
    match outcome:
        case Prediction():
            sure = min_confidence is None or outcome.scores[0] >= _single(min_confidence)
            return LedgerRow(
                path=path,
                status=RowStatus.OK,
                label=outcome.top[0] if sure else None,
                top_labels=outcome.top,
                top_scores=outcome.scores,
                digest=outcome.digest,
                cached=outcome.cached,
            )
        case Rejection():
            return LedgerRow(
                path=path,
                status=_row_status(outcome.status),
                digest=outcome.digest,
                error_code=outcome.code.value,
                error_detail=outcome.detail,
            )
    assert_never(outcome)


def _single(share: float) -> float:
    """Round to single precision, in which scores are computed, stored and filtered."""
    rounded: float = struct.unpack("f", struct.pack("f", share))[0]
    return rounded


def _row_status(status: Status) -> RowStatus:
    match status:
        case Status.OK:
            raise ValueError("a rejection cannot be ok")
        case Status.FAILED:
            return RowStatus.FAILED
        case Status.SKIPPED:
            return RowStatus.SKIPPED
    assert_never(status)
