"""COPY's text format, one field at a time."""

import pytest

from imgq_db.ledger import LedgerRow, RowStatus, copy_field, total_status


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, r"\N"),
        (True, "t"),
        (False, "f"),
        (7, "7"),
        (RowStatus.SKIPPED, "2"),
        (0.25, "0.25"),
        (1e-45, "1e-45"),
        ("", ""),
        (r"\N", r"\\N"),
        (r"\.", r"\\."),
        ("a\tb\nc\rd\\e", r"a\tb\nc\rd\\e"),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a?b"),
        ("é\U0001f600\x0b\x85\u2028", "é\U0001f600\x0b\x85\u2028"),
        (b"", r"\\x"),
        (b"a\n\\N\xff", r"\\x610a5c4eff"),
        ((), "{}"),
        ((3, 1), "{3,1}"),
        ((0.5, 1e-45), "{0.5,1e-45}"),
    ],
)
def test_a_field_is_written_so_that_postgres_reads_the_value(value: object, field: str) -> None:
    assert copy_field(value) == field


def test_rows_are_counted_by_status() -> None:
    rows = [LedgerRow(b"a", RowStatus.OK), LedgerRow(b"b", RowStatus.FAILED, cached=True)]
    assert [total_status(rows, status) for status in RowStatus] == [1, 1, 0]
