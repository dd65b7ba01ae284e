"""COPY's binary format, as Postgres documents it; the integration tests read the rows back."""

import pytest

from imgq_db.ledger import LedgerRow, RowStatus, copy_line, total_status

KEYS = (
    b"\0\x0e"
    b"\0\0\0\x08\0\0\0\0\0\0\0\x05"
    b"\0\0\0\x08\0\0\0\x02\0\0\0\0"
    b"\0\0\0\x08\0\0\0\0\0\0\0\x07"
    b"\0\0\0\x08\0\0\0\0\0\0\0\x03"
)
NULL = b"\xff\xff\xff\xff"
PREDICTED = KEYS + (
    b"\0\0\0\x02\0\0"
    b"\0\0\0\x02\x01\x02"
    b"\0\0\0\x04\x3f\0\0\0"
    b"\0\0\0\x20\0\0\0\x01\0\0\0\0\0\0\0\x15\0\0\0\x02\0\0\0\x01"
    b"\0\0\0\x02\x01\x02\0\0\0\x02\0\x01"
    b"\0\0\0\x24\0\0\0\x01\0\0\0\0\0\0\x02\xbc\0\0\0\x02\0\0\0\x01"
    b"\0\0\0\x04\x3f\0\0\0\0\0\0\x04\x3e\x80\0\0"
    b"\0\0\0\x01\x01" + NULL + NULL + b"\0\0\0\x02\t\n"
    b"\0\0\0\x03a\\\xff"
)
FAILED = KEYS + (
    b"\0\0\0\x02\0\x01" + 4 * NULL + b"\0\0\0\x01\0"
    b"\0\0\0\x07corrupt"
    b"\0\0\0\x09\t\\N\xef\xbf\xbd?\xc3\xa9" + NULL + b"\0\0\0\x01b"
)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (
            LedgerRow(b"a\\\xff", RowStatus.OK, 258, (258, 1), (0.5, 0.25), b"\t\n", cached=True),
            PREDICTED,
        ),
        (
            LedgerRow(
                b"b", RowStatus.FAILED, error_code="corrupt", error_detail="\t\\N\0\ud800\xe9"
            ),
            FAILED,
        ),
    ],
)
def test_a_row_is_its_fields_each_behind_its_length(row: LedgerRow, line: bytes) -> None:
    assert copy_line(row, job_id=5, image=1 << 33, chunk_id=7, token=3) == line


def test_rows_are_counted_by_status() -> None:
    rows = [LedgerRow(b"a", RowStatus.OK), LedgerRow(b"b", RowStatus.FAILED, cached=True)]
    assert [total_status(rows, status) for status in RowStatus] == [1, 1, 0]
