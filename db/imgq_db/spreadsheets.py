"""Cells of CSV files that no spreadsheet takes for a formula."""

import re

from imgq_db.names import percent_escaped

#: What may begin a formula. The wide ones become the narrow ones in some spreadsheets.
_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[+-]\d+([.,]\d+)?")


def path_cell(path: str) -> str:
    """Return a file's name as a cell; `name_from_text` still gives the name's own bytes."""
    return percent_escaped(path[0]) + path[1:] if path[:1] in _STARTS else path


def label_cell(label: str) -> str:
    """Return a label as a cell: behind an apostrophe where a formula would begin."""
    harmless = label[:1] not in _STARTS or _NUMBER.fullmatch(label)
    return label if harmless else f"'{label}"
