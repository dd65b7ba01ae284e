"""What a ledger's writer counts; the integration tests read the rows back."""

from imgq_db.ledger import LedgerRow, RowStatus, total_status


def test_rows_are_counted_by_status() -> None:
    rows = [LedgerRow(b"a", RowStatus.OK), LedgerRow(b"b", RowStatus.FAILED, cached=True)]
    assert [total_status(rows, status) for status in RowStatus] == [1, 1, 0]
